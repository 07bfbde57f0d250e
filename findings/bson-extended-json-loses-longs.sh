#!/usr/bin/env bash
# bson 7.3.4 (of MongoDB's driver for Node), beside pymongo 4.20.1. Needs npm and node 20 or newer; no server.
#
# What it does: the binary form reads an int64 above 2^53 as a Long, exactly. EJSON.stringify of that Long writes a number that has lost its
# last digits; EJSON.parse loses them even where the text has them ({"$numberLong": "9007199254740993"}, what mongoexport and Python write). Both
# by default. A BigInt above 64 bits is written modulo 2^64, without an error. And 3000000000, read as int64, is written back as a double.
# What one would have guessed: extended JSON, made to keep BSON's types, keeps a value that the binary form keeps; a BigInt that is too large is an error.
# Seen: below, between the quotes.
# What helps: {relaxed: false} in both calls; {useBigInt64: true} for reading; Long for what is to stay an int64.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
npm_packages bson@7.3.4
packages pymongo==4.20.1

javascript <<'JS' >"$folder/seen"
import { BSON, EJSON, Long } from "bson";

const again = (document) => BSON.deserialize(BSON.serialize(document), { promoteValues: false });
const long = Long.fromString("9007199254740993");
console.log(`binary: ${BSON.deserialize(BSON.serialize({ n: long })).n}`);
console.log(`EJSON.stringify: ${EJSON.stringify({ n: long })}`);
console.log(`EJSON.parse of {"$numberLong": "9007199254740993"}: ${EJSON.parse('{"n": {"$numberLong": "9007199254740993"}}').n}`);
console.log(`with relaxed: false: ${EJSON.parse(EJSON.stringify({ n: long }, { relaxed: false }), { relaxed: false }).n}`);
console.log(`2^64 + 7: stored as ${again({ n: 2n ** 64n + 7n }).n}`);
const read = BSON.deserialize(BSON.serialize({ n: Long.fromString("3000000000") }));
console.log(`int64 3000000000, read and written back: ${again(read).n._bsontype}`);
JS

{
    cat "$folder/seen"
    python - <<'PYTHON'
from bson import Int64, json_util

text = json_util.dumps({"n": Int64(9007199254740993)}, json_options=json_util.RELAXED_JSON_OPTIONS)
print(f"pymongo, relaxed: {json_util.loads(text)['n']}")
PYTHON
} | expect 'binary: 9007199254740993
EJSON.stringify: {"n":9007199254740992}
EJSON.parse of {"$numberLong": "9007199254740993"}: 9007199254740992
with relaxed: false: 9007199254740993
2^64 + 7: stored as 7
int64 3000000000, read and written back: Double
pymongo, relaxed: 9007199254740993'
