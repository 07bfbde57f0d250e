from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from syncline.postgres import arrays

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5) | st.sampled_from(
    ['"', "\\", "", "NULL"]
)


def read(literal: str) -> list[str | None]:
    """Read an array literal as PostgreSQL does, of quoted elements and NULLs."""
    elements = re.findall(r'(?:NULL|"(?:[^"\\]|\\.)*")', literal[1:-1], re.DOTALL)
    assert "{" + ",".join(elements) + "}" == literal
    return [None if one == "NULL" else re.sub(r"\\(.)", r"\1", one[1:-1], flags=re.DOTALL) for one in elements]


def test_integers_become_an_array_literal():
    assert arrays.integers([1, -2, 3]) == "{1,-2,3}"
    assert arrays.integers([]) == "{}"


def test_what_could_be_misread_is_escaped():
    assert arrays.texts(["a,b", 'q"', "back\\", "", "NULL", "{x}"]) == '{"a,b","q\\"","back\\\\","","NULL","{x}"}'
    assert arrays.texts(["a", None, "NULL"]) == '{"a",NULL,"NULL"}'
    assert arrays.texts([]) == "{}"


@given(st.lists(st.none() | TEXT, max_size=5) | st.lists(TEXT, max_size=5))
def test_texts_come_back_as_they_were(values):
    assert read(arrays.texts(values)) == values
