#!/usr/bin/env bash
# fastavro 1.13.1.
#
# What it does: 2.9 for a `long` is written as 2, "false" for a `boolean` as true, a datetime for a `date` without its time; in a union with null, the usual
# way to say that a field is optional, the first is refused. But there the first branch that takes a value wins, and `date` takes a datetime: with
# ["null", date, timestamp] the times of all values are gone, with the two the other way round none is.
# What one would have guessed: the same answer for `long` with and without null, and the branch that fits without loss.
# Seen: below, between the quotes.
# What helps: timestamps before dates in a union; fastavro.validation.validate() before writing: it refuses 2.9 for a long.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages fastavro==1.13.1
python - <<'PYTHON' | expect 'long, 2.9: 2
null or long, 2.9: ValueError
boolean, false (a text): True
date, datetime: 2024-01-01
null, date or timestamp, datetime: 2024-01-01
null, timestamp or date, datetime: 2024-01-01 12:30:00+00:00'
import io
from datetime import datetime, timezone

import fastavro

def look(name, schema, value):
    parsed, file = fastavro.parse_schema(schema), io.BytesIO()
    try:
        fastavro.schemaless_writer(file, parsed, value)
        file.seek(0)
        print(f"{name}: {fastavro.schemaless_reader(file, parsed, None)}")
    except ValueError as error:
        print(f"{name}: {type(error).__name__}")

noon = datetime(2024, 1, 1, 12, 30, tzinfo=timezone.utc)
day = {"type": "int", "logicalType": "date"}
moment = {"type": "long", "logicalType": "timestamp-micros"}
look("long, 2.9", "long", 2.9)
look("null or long, 2.9", ["null", "long"], 2.9)
look("boolean, false (a text)", "boolean", "false")
look("date, datetime", day, noon)
look("null, date or timestamp, datetime", ["null", day, moment], noon)
look("null, timestamp or date, datetime", ["null", moment, day], noon)
PYTHON
