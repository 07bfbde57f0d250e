#!/usr/bin/env bash
# deepdiff 9.1.0.
#
# What it does: 1 and True, or 1 and 1.0, are a change of type alone and as values of a dict. As members of a list that are alike otherwise they are none: [1] and
# [True] are the same, {"a": [1, 2]} and {"a": [True, 2]} too. With ignore_order=True, which is to find less, the same lists differ.
# What one would have guessed: what is a change in a dict is one in a list.
# Seen: below, between the quotes.
# What helps: compare the encoded documents (BSON, or JSON by a canonical writer) and ask deepdiff for the reason only.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages deepdiff==9.1.0
python - <<'PYTHON' | expect "1 and True: type_changes
{'a': 1} and {'a': True}: type_changes
[1] and [True]: no change
{'a': [1, 2]} and {'a': [True, 2]}: no change
[1, 2] and [1.0, 2.0]: no change
[1, 5] and [True, 6]: values_changed
[1] and [True], ignore_order: type_changes"
from deepdiff import DeepDiff

def look(name, a, b, **options):
    print(f"{name}: {', '.join(sorted(DeepDiff(a, b, **options))) or 'no change'}")

for a, b in (
    (1, True), ({"a": 1}, {"a": True}), ([1], [True]), ({"a": [1, 2]}, {"a": [True, 2]}), ([1, 2], [1.0, 2.0]), ([1, 5], [True, 6]),
):
    look(f"{a} and {b}", a, b)
look("[1] and [True], ignore_order", [1], [True], ignore_order=True)
PYTHON
