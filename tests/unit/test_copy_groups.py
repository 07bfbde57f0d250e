"""Which tables are declared copied together."""

from __future__ import annotations

import pytest

from syncline.copying.order import joined

GROUPS = {
    "alone": ("a; b", "a; b"),
    "to itself": ("a:a; b", "a; b"),
    "parent and child": ("a; b:a; c", "ab; c"),
    "by way of a third": ("a; c; b:a,c; d", "abc; d"),
    "in a circle": ("a:b; b:a; c:x", "ab; c"),
    "groups that meet late": ("a:b; b; c:d; d; e:b,d", "abcde"),
}


@pytest.mark.parametrize("name", GROUPS)
def test_tables_that_refer_to_each_other_are_one_group(name: str) -> None:
    text, wanted = GROUPS[name]
    tables = [part.strip().partition(":") for part in text.split(";")]
    parents = {table: frozenset(others.split(",")) - {""} for table, _, others in tables}

    assert {*joined(parents)} == {frozenset(group.strip()) for group in wanted.split(";")}
