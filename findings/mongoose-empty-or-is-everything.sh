#!/usr/bin/env bash
# mongoose 9.12.1. Needs npm and node 20 or newer; no server: what is looked at is what mongoose hands to the driver.
#
# What it does: `$or`, `$and` or `$nor` with an empty list (conditions made from a list of which nothing is left) is dropped from the filter before it
# reaches the driver, so `deleteMany({$or: []})` is sent as `deleteMany({})`. MongoDB refuses such a list, and the driver alone would pass it on.
# With strictQuery, a list whose conditions are all about unknown fields goes the same way.
# What one would have guessed: the server's error; or nothing found, as with {$in: []}, which stays.
# Seen: below, between the quotes.
# What helps: look at the list's length before the call.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
npm_packages mongoose@9.12.1

javascript <<'JS' | expect 'strictQuery false: {"$or":[]} is sent as {}
strictQuery false: {"$nor":[]} is sent as {}
strictQuery false: {"n":{"$in":[]}} is sent as {"n":{"$in":[]}}
strictQuery false: {"$and":[{"typo":1}]} is sent as {"$and":[{"typo":1}]}
strictQuery true: {"$or":[]} is sent as {}
strictQuery true: {"$nor":[]} is sent as {}
strictQuery true: {"n":{"$in":[]}} is sent as {"n":{"$in":[]}}
strictQuery true: {"$and":[{"typo":1}]} is sent as {}'
import mongoose from "mongoose";

for (const strictQuery of [false, true]) {
    const Model = mongoose.model(`strict ${strictQuery}`, new mongoose.Schema({ n: Number }, { strictQuery, autoIndex: false, autoCreate: false }));
    let sent;
    Model.collection.deleteMany = async (filter) => { sent = JSON.stringify(filter); return {}; };
    for (const filter of [{ $or: [] }, { $nor: [] }, { n: { $in: [] } }, { $and: [{ typo: 1 }] }]) {
        const given = JSON.stringify(filter);
        await Model.deleteMany(filter);
        console.log(`strictQuery ${strictQuery}: ${given} is sent as ${sent}`);
    }
}
JS
