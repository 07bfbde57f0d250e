#!/usr/bin/env bash
# pg 8.23.1 (node-postgres). Needs npm and node 20 or newer; no server: what is looked at is the text that pg sends for a Date.
#
# What it does: a Date is sent as local time with its offset in whole minutes. Where the zone's offset has seconds, as most had before standard time and
# Liberia's until 1972, the local time has those seconds and the offset does not: the moment that the server stores, also in a timestamptz, is
# up to a minute from the one that was given. Read and written back, a date of birth in 1890 moves each time.
# What one would have guessed: a Date is a moment; any text that PostgreSQL reads as that moment.
# Seen: below, between the quotes.
# What helps: date.toISOString() as the parameter; TZ=UTC; or `pg.defaults.parseInputDatesAsUTC = true`.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
npm_packages pg@8.23.1

javascript <<'JS' | expect 'Africa/Monrovia: 1971-06-01T00:00:00.000Z is sent as 1971-05-31T23:15:30.000-00:44: -30 s off
Europe/Berlin: 1890-06-01T00:00:00.000Z is sent as 1890-06-01T00:53:28.000+00:53: 28 s off
America/New_York: 1880-06-01T00:00:00.000Z is sent as 1880-05-31T19:03:58.000-04:56: -2 s off
America/New_York: 1971-06-01T00:00:00.000Z is sent as 1971-05-31T20:00:00.000-04:00: 0 s off
as UTC: 1971-06-01T00:00:00.000Z is sent as 1971-06-01T00:00:00.000+00:00: 0 s off'
import pg from "pg";
import utils from "pg/lib/utils.js";

const say = (name, text) => {
    const given = new Date(text);
    const sent = utils.prepareValue(given);
    console.log(`${name}: ${given.toISOString()} is sent as ${sent}: ${(new Date(sent) - given) / 1000} s off`);
};
for (const [zone, text] of [
    ["Africa/Monrovia", "1971-06-01T00:00:00Z"],
    ["Europe/Berlin", "1890-06-01T00:00:00Z"],
    ["America/New_York", "1880-06-01T00:00:00Z"],
    ["America/New_York", "1971-06-01T00:00:00Z"],
]) {
    process.env.TZ = zone;
    say(zone, text);
}
process.env.TZ = "Africa/Monrovia";
pg.defaults.parseInputDatesAsUTC = true;
say("as UTC", "1971-06-01T00:00:00Z");
JS
