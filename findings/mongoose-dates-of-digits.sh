#!/usr/bin/env bash
# mongoose 9.12.1. Needs npm and node 20 or newer; no server.
#
# What it does: a text of digits given for a Date is a year, a month or milliseconds since 1970, by its size: "2024" is a year, "20240131" (ISO 8601's
# basic form) is the first of January 1970, "12" is December 2001, "2024.5" is May, and a Unix time in seconds is in January 1970. No text of these
# is refused, in documents and in filters, while "1e3" and true are.
# What one would have guessed: "20240131" is that day or an error.
# Seen: below, between the quotes.
# What helps: a Date, or a text with dashes.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
npm_packages mongoose@9.12.1

TZ=UTC javascript <<'JS' | expect '"2024-01-31": 2024-01-31T00:00:00.000Z
"2024": 2024-01-01T00:00:00.000Z
"20240131": 1970-01-01T05:37:20.131Z
"1706659200": 1970-01-20T18:04:19.200Z
"12": 2001-12-01T00:00:00.000Z
"2024.5": 2024-05-01T00:00:00.000Z
"1e3": CastError
in a filter, "20240131": 1970-01-01T05:37:20.131Z'
import mongoose from "mongoose";

const Model = mongoose.model("Event", new mongoose.Schema({ at: Date }));
for (const at of ["2024-01-31", "2024", "20240131", "1706659200", "12", "2024.5", "1e3"]) {
    const event = new Model({ at });
    const failed = await event.validate().then(() => null, (error) => error.errors.at.name);
    console.log(`${JSON.stringify(at)}: ${failed ?? event.at.toISOString()}`);
}
console.log(`in a filter, "20240131": ${Model.find().cast(Model, { at: { $gte: "20240131" } }).at.$gte.toISOString()}`);
JS
