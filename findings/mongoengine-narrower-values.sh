#!/usr/bin/env bash
# mongoengine 0.29.3, pymongo 4.20.1. No server: what is looked at is the document that would be stored, after validate().
#
# What it does: validate() accepts values that are then stored as others. A DecimalField keeps two digits after the point unless told otherwise, and
# stores a double, so that 0.001 is 0.0 and the cents of 12345678901234567.89 are gone; an IntField cuts 2.9 to 2 (but refuses the text "2.9"); a
# BooleanField makes "false" True. Of one moment with an offset, DateTimeField stores the UTC time and ComplexDateTimeField the local one without
# its offset: two fields of one document that are hours apart.
# What one would have guessed: an error of validation for what does not fit; Decimal128 as the default for a Decimal.
# Seen: below, between the quotes.
# What helps: Decimal128Field; datetimes in UTC; types checked before they get there.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages mongoengine==0.29.3 pymongo==4.20.1
python - <<'PYTHON' | expect "DecimalField, 0.001: 0.0
DecimalField, 12345678901234567.89: 1.2345678901234568e+16
Decimal128Field, 0.001: 0.001
IntField, 2.9: 2
IntField, '2.9': ValidationError
BooleanField, 'false': True
DateTimeField, 2024-01-01 10:00:00+05:00: 2024-01-01 05:00:00
ComplexDateTimeField, 2024-01-01 10:00:00+05:00: 2024,01,01,10,00,00,000000"
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import bson
import mongoengine as me

class Row(me.Document):
    dec = me.DecimalField()
    dec128 = me.Decimal128Field()
    whole = me.IntField()
    flag = me.BooleanField()
    at = me.DateTimeField()
    exact = me.ComplexDateTimeField()

moment = datetime(2024, 1, 1, 10, tzinfo=timezone(timedelta(hours=5)))
for name, value in (
    ("dec", Decimal("0.001")), ("dec", Decimal("12345678901234567.89")), ("dec128", Decimal("0.001")),
    ("whole", 2.9), ("whole", "2.9"), ("flag", "false"), ("at", moment), ("exact", moment),
):
    row = Row(**{name: value})
    try:
        row.validate()
        said = bson.decode(bson.encode(row.to_mongo()))[name]
    except me.ValidationError as error:
        said = type(error).__name__
    print(f"{type(row._fields[name]).__name__}, {value if not isinstance(value, str) else repr(value)}: {said}")
PYTHON
