"""The reference pages say what the code does."""

from __future__ import annotations

import pytest

from tests.reference import PAGES, REFERENCE


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_new(page):
    assert (REFERENCE / page).read_text("utf-8") == PAGES[page](), "run: python -m tests.reference"


@pytest.mark.parametrize("page", PAGES)
def test_everything_has_a_meaning(page):
    assert "|  |\n" not in PAGES[page]()
