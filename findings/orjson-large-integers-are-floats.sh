#!/usr/bin/env bash
# orjson 3.13.0, beside msgspec 0.23.0, ujson 6.1.0, python-rapidjson 1.25 and Python's json.
#
# What it does: an integer of more than 64 bits, which jsonb keeps exactly, is read by orjson as a float, and so is another integer when it is written
# again; the other four read it exactly. orjson.dumps of the integer raises. So reading loses quietly what writing refuses.
# What one would have guessed: an int, as from Python's json, or the error that dumps has.
# Seen: below, between the quotes.
# What helps: another parser for documents with such numbers, or the number as text.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages orjson==3.13.0 msgspec==0.23.0 ujson==6.1.0 python-rapidjson==1.25
python - <<'PYTHON' | expect 'json: 18446744073709551615, 18446744073709551616, -9223372036854775809
msgspec: 18446744073709551615, 18446744073709551616, -9223372036854775809
ujson: 18446744073709551615, 18446744073709551616, -9223372036854775809
rapidjson: 18446744073709551615, 18446744073709551616, -9223372036854775809
orjson: 18446744073709551615, 1.8446744073709552e+19, -9.223372036854776e+18
orjson.dumps(18446744073709551616): JSONEncodeError'
import json

import msgspec
import orjson
import rapidjson
import ujson

texts = ("18446744073709551615", "18446744073709551616", "-9223372036854775809")
for name, loads in (
    ("json", json.loads), ("msgspec", msgspec.json.decode), ("ujson", ujson.loads),
    ("rapidjson", rapidjson.loads), ("orjson", orjson.loads),
):
    print(f"{name}: {', '.join(repr(loads(text)) for text in texts)}")
try:
    said = orjson.dumps(2**64).decode()
except orjson.JSONEncodeError:
    said = "JSONEncodeError"
print(f"orjson.dumps(18446744073709551616): {said}")
PYTHON
