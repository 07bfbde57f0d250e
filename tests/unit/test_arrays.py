from hypothesis import given
from hypothesis import strategies as st

from syncline.postgres import arrays


def test_integers_become_an_array_literal():
    assert arrays.integers([1, -2, 3]) == "{1,-2,3}"
    assert arrays.integers([]) == "{}"


def test_plain_texts_stay_unquoted():
    assert arrays.texts(["1", "a-b"]) == "{1,a-b}"


def test_what_could_be_misread_is_quoted():
    assert arrays.texts(["a,b", 'q"', "back\\", "", "NULL", "{x}"]) == '{"a,b","q\\"","back\\\\","","NULL","{x}"}'


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), max_size=5))
def test_no_text_can_break_out_of_its_element(values):
    literal = arrays.texts(values)
    body = literal[1:-1]
    if '"' not in body:
        assert body.split(",") == (values or [""])
