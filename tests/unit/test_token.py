from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.errors import TokenError
from syncline.tokens.token import make, merge, parse

INSTALLATIONS = st.text("0123456789abcdef", min_size=8, max_size=8)
TRANSACTIONS = st.sets(st.integers(1, (1 << 64) - 1), min_size=1, max_size=20)


@given(INSTALLATIONS, TRANSACTIONS)
def test_what_was_made_is_read_back(installation: str, transactions: set[int]) -> None:
    assert parse(make(installation, transactions)) == {installation: transactions}


@given(INSTALLATIONS, TRANSACTIONS)
def test_a_token_needs_no_quoting_in_an_url(installation: str, transactions: set[int]) -> None:
    from urllib.parse import quote

    token = make(installation, transactions)
    assert quote(token, safe="") == token


@given(st.lists(st.tuples(INSTALLATIONS, TRANSACTIONS), max_size=3))
def test_a_merged_token_asks_for_everything(parts: list[tuple[str, set[int]]]) -> None:
    wanted: dict[str, set[int]] = {}
    for installation, transactions in parts:
        wanted.setdefault(installation, set()).update(transactions)
    assert parse(merge(None, "", *(make(*part) for part in parts)) or "") == wanted


def test_nothing_merges_to_nothing() -> None:
    assert merge() is None
    assert merge(None, "") is None


@given(st.text(min_size=1, max_size=50))
def test_any_text_is_a_token_or_an_error(text: str) -> None:
    try:
        parse(text)
    except TokenError as error:
        assert error.hint  # noqa: PT017


@pytest.mark.parametrize(
    "token",
    [
        " ",
        "1.00000000.",
        "1.00000000.0",
        "1.0000000g.1",
        "1.00000000.A",
        "2.00000000.1",
        "1.00000000.1~",
        "1.00000000.3w5e11264sgsg",
        "1.00000000.-1",
        "1.00000000.1\n",
        "1.00000000.1-" * 200 + "1",
    ],
)
def test_malformed(token: str) -> None:
    with pytest.raises(TokenError):
        parse(token)


def test_too_many_for_one_token() -> None:
    with pytest.raises(TokenError, match="merge fewer"):
        merge(*(make("00000000", range(start, start + 50)) for start in range(10**9, 10**9 + 250, 50)))


def test_a_token_names_its_link_and_those_of_before_are_read() -> None:
    named = make("0123456789", [7], "old_shop")
    assert named == "2.old_shop.01234567.7"
    assert parse(named) == {"old_shop.01234567": frozenset({7})}
    assert parse("1.01234567.7") == {"01234567": frozenset({7})}
    both = merge(named, "1.01234567.7", make("0123456789", [8], "old_shop"))
    assert both == "1.01234567.7~2.old_shop.01234567.7-8"
    assert merge(both) == both
