#!/usr/bin/env bash
# pg 8.23.1 (node-postgres) with its pg-types. Needs npm and node 20 or newer; no server: what is looked at is how pg reads a server's text.
#
# What it does: a `numeric` is read as text, so that no digit is lost, and so is an int8, alone and in an array. The members of a `numeric[]` are
# JavaScript numbers: digits after the seventeenth are gone, and what is above 2^53 is another integer. (An `array_agg(price)` is one.)
# What one would have guessed: an array's members are what the type is alone, as with int8[].
# Seen: below, between the quotes.
# What helps: `::text[]` in the query, or a parser of one's own: types.setTypeParser(1231, types.getTypeParser(1009)).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
npm_packages pg@8.23.1

javascript <<'JS' | expect 'int8: "9007199254740993"; int8[]: ["9007199254740993"]
numeric: "12345678901234567.89"; numeric[]: [12345678901234568]
numeric: "9007199254740993"; numeric[]: [9007199254740992]
numeric: "1.10"; numeric[]: [1.1]'
import pg from "pg";

const read = (oid, text) => JSON.stringify(pg.types.getTypeParser(oid, "text")(text) ?? text);
const pair = (name, alone, list, text) => console.log(`${name}: ${read(alone, text)}; ${name}[]: ${read(list, `{${text}}`)}`);
pair("int8", 20, 1016, "9007199254740993");
for (const text of ["12345678901234567.89", "9007199254740993", "1.10"]) pair("numeric", 1700, 1231, text);
JS
