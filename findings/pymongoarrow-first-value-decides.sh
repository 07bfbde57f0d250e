#!/usr/bin/env bash
# pymongoarrow 1.15.0, pymongo 4.20.1, pyarrow 25.0.1.
#
# What it does: find_arrow_all without a schema types a column by the first value that it meets. A later number with a fraction is cut to an
# integer (2.5 becomes 2), a later text is None, also inside arrays; nothing is raised, and `allow_invalid` is False. A value that needs more
# than 32 bits widens the column, and 2.5 before 1 makes a double: only the fraction that comes later goes. With a schema that is given a text
# is a TypeError, but 2.5 is cut to 2 as well.
# What one would have guessed: the column becomes a double, or an error names the value.
# Seen:
#     [1, 2.5] -> int32 [1, 2]
#     [2.5, 1] -> double [2.5, 1.0]
#     [1, 1099511627776] -> int64 [1, 1099511627776]
#     [1, 'x'] -> int32 [1, None]
#     [[1], [2.5, 'x']] -> list<item: int32> [[1], [2, None]]
#     given int32, [1, 2.5] -> int32 [1, 2]
#     given int32, [1, 'x'] -> TypeError
# The collection is a stand-in that hands out batches of BSON, which is all that the function asks of one.
# What helps: give a schema made from all documents, and double where a fraction may come.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages pymongoarrow==1.15.0 pymongo==4.20.1 pyarrow==25.0.1
cat >"$folder/look.py" <<'PYTHON'
from types import SimpleNamespace

import bson
import pyarrow
from bson.codec_options import CodecOptions
from pymongoarrow.api import Schema, find_arrow_all


def look(values, schema=None, name=""):
    batch = b"".join(bson.encode({"a": value}) for value in values)
    client = SimpleNamespace(append_metadata=None)
    collection = SimpleNamespace(
        database=SimpleNamespace(client=client),
        codec_options=CodecOptions(),
        find_raw_batches=lambda query, **options: [batch],
    )
    try:
        column = find_arrow_all(collection, {}, schema=schema).column("a")
        said = f"{column.type} {column.to_pylist()}"
    except TypeError:
        said = "TypeError"
    print(f"{name}{values} -> {said}")


look([1, 2.5])
look([2.5, 1])
look([1, 2**40])
look([1, "x"])
look([[1], [2.5, "x"]])
look([1, 2.5], Schema({"a": pyarrow.int32()}), "given int32, ")
look([1, "x"], Schema({"a": pyarrow.int32()}), "given int32, ")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" 2>"$folder/stderr" | expect "[1, 2.5] -> int32 [1, 2]
[2.5, 1] -> double [2.5, 1.0]
[1, 1099511627776] -> int64 [1, 1099511627776]
[1, 'x'] -> int32 [1, None]
[[1], [2.5, 'x']] -> list<item: int32> [[1], [2, None]]
given int32, [1, 2.5] -> int32 [1, 2]
given int32, [1, 'x'] -> TypeError" || { tail -3 "$folder/stderr" >&2; exit 1; }
