#!/usr/bin/env bash
# mongomock 4.3.0, pymongo 4.20.1.
#
# What it does: mongomock, which tests use in MongoDB's place, compares values with Python's ==. So {a: 1} finds a True, a unique index refuses
# True beside 1, a subdocument is found whatever the order of its fields is, and two documents of the same _id but for its type (1, True) are
# one. In MongoDB a boolean never equals a number, and the order of fields is part of a subdocument's value; each test here comes out the other way.
# What one would have guessed: BSON's comparison, which is what a test of a query is about; mongomock does keep types apart for $gt.
# Seen:
#     find {a: 1} of 1, True, 1.0: [1, True, 1.0]
#     find {a: {$gt: 0}} of 1, True, 1.0: [1, 1.0]
#     find {a: {y: 2, x: 1}} of {x: 1, y: 2}: 1 found
#     _id True after _id 1: DuplicateKeyError
#     distinct of 1, True, 1.0: [1]
# What helps: test queries that mix types on a server.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages mongomock==4.3.0 pymongo==4.20.1
cat >"$folder/look.py" <<'PYTHON'
import mongomock
from pymongo.errors import DuplicateKeyError

database = mongomock.MongoClient().test
database.values.insert_many({"_id": n, "a": value} for n, value in enumerate((1, True, 1.0)))
print(f"find {{a: 1}} of 1, True, 1.0: {[found['a'] for found in database.values.find({'a': 1})]}")
print(f"find {{a: {{$gt: 0}}}} of 1, True, 1.0: {[found['a'] for found in database.values.find({'a': {'$gt': 0}})]}")
database.nested.insert_one({"a": {"x": 1, "y": 2}})
print(f"find {{a: {{y: 2, x: 1}}}} of {{x: 1, y: 2}}: {database.nested.count_documents({'a': {'y': 2, 'x': 1}})} found")
database.keys.insert_one({"_id": 1})
try:
    database.keys.insert_one({"_id": True})
    said = "inserted"
except DuplicateKeyError as error:
    said = type(error).__name__
print(f"_id True after _id 1: {said}")
print(f"distinct of 1, True, 1.0: {database.values.distinct('a')}")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" | expect "find {a: 1} of 1, True, 1.0: [1, True, 1.0]
find {a: {\$gt: 0}} of 1, True, 1.0: [1, 1.0]
find {a: {y: 2, x: 1}} of {x: 1, y: 2}: 1 found
_id True after _id 1: DuplicateKeyError
distinct of 1, True, 1.0: [1]"
