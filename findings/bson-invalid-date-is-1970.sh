#!/usr/bin/env bash
# bson 7.3.4 (of MongoDB's driver for Node), beside pymongo 4.20.1. Needs npm and node 20 or newer; no server.
#
# What it does: a JavaScript date that is no date (`new Date("soon")`, or the sum of a date and undefined) is written as 1970-01-01. The same happens to a
# date of BSON that is valid, but later than the year 275760: it is read as Invalid Date, and the document written back says 1970.
# Python's bson keeps the latter (DatetimeMS). Extended JSON of the same date is {"$numberLong": "NaN"}.
# What one would have guessed: an error, as JavaScript's toISOString() raises; or the number as it was.
# Seen: below, between the quotes.
# What helps: look at isNaN(date) before each write; read such a column in a pipeline with {$toLong: "$at"}.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
npm_packages bson@7.3.4
packages pymongo==4.20.1

python - >"$folder/far" <<'PYTHON'
import bson
from bson.datetime_ms import DatetimeMS

print(bson.encode({"at": DatetimeMS(2**53)}).hex(), end="")
PYTHON

javascript <<'JS' >"$folder/seen"
import { readFileSync } from "node:fs";
import { BSON, EJSON } from "bson";

const stored = (document) => new Date(BSON.deserialize(BSON.serialize(document)).at).toISOString();
console.log(`new Date("soon"): stored as ${stored({ at: new Date("soon") })}`);
const far = BSON.deserialize(Buffer.from(readFileSync("far", "utf8"), "hex"));
console.log(`2^53 ms: read as ${far.at}, written back as ${stored(far)}, as extended JSON ${EJSON.stringify(far)}`);
JS

{
    cat "$folder/seen"
    python - "$(cat "$folder/far")" <<'PYTHON'
import sys

import bson

codec = bson.CodecOptions(datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO)
at = bson.decode(bytes.fromhex(sys.argv[1]), codec)["at"]
again = bson.decode(bson.encode({"at": at}), codec)["at"]
print(f"pymongo, read and written back: the same: {at == again}")
PYTHON
} | expect 'new Date("soon"): stored as 1970-01-01T00:00:00.000Z
2^53 ms: read as Invalid Date, written back as 1970-01-01T00:00:00.000Z, as extended JSON {"at":{"$date":{"$numberLong":"NaN"}}}
pymongo, read and written back: the same: True'
