"""The mutants still fit the source, and their tests exist."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import check
from tests.mutants.anchor import DoesNotApplyError, Swap
from tests.mutants.catalogue import MUTANTS, Mutant

PYTHON = """
LIMIT = 2

class Pump:
    async def run(self, left):  # a comment
        if self.ready and left:
            await self.write(  # over
                left,          # several lines
            )
            return
        elif left:
            self.left = left; self.tell("ä", left)
        return

def run(left):
    return LIMIT, left
"""
SQL = """
-- name: one
SELECT a
  FROM t WHERE t.a = %(a)s

-- name: two
SELECT a FROM t
"""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source_and_its_tests_exist(mutant: Mutant) -> None:
    check(mutant)


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("within", "old", "new", "was", "instead"),
    [
        ("Pump.run", "self.ready", "True", "self.ready and left", "(True) and left"),
        ("Pump.run", "if left: ...", "if False: ...", "elif left:", "elif (False):"),
        ("Pump.run", "self.tell('ä', left)", "", '; self.tell("ä", left)', "; pass"),
        ("Pump.run", "self.tell('ä', left)", "a()\nb()", '; self.tell("ä", left)', "; a(); b()"),
        ("Pump.run", "self.left = left\nself.tell('ä', left)", "a()\nb()", 'self.left = left; self.tell("ä", left)',
         "a()\n            b()"),
        ("", "LIMIT = 2", "LIMIT = 3", "LIMIT = 2", "LIMIT = 3"),
        ("run", "LIMIT", "0", "return LIMIT", "return (0)"),
    ],
)  # fmt: skip
def test_python_is_found_by_function_and_expression(within: str, old: str, new: str, was: str, instead: str) -> None:
    assert Swap("x.py", within, old, new).applied(PYTHON) == PYTHON.replace(was, instead)


def test_layout_and_comments_do_not_matter() -> None:
    changed = Swap("x.py", "Pump.run", "await self.write(left)\nreturn", "return 1").applied(PYTHON)
    assert "write" not in changed
    assert "            return 1\n        elif left" in changed


def test_sql_is_found_by_block_and_words() -> None:
    assert Swap("x.sql", "one", "SELECT a FROM t", "SELECT b FROM t").applied(SQL) == SQL.replace(
        "SELECT a\n  FROM t", "SELECT b FROM t"
    )
    assert Swap("x.sql", "two", "FROM t", "").applied(SQL).rstrip().endswith("SELECT a")


@pytest.mark.parametrize(
    ("file", "within", "old"),
    [
        ("x.py", "Pump.walk", "left"),
        ("x.py", "Pump.run", "left"),
        ("x.py", "Pump.run", "right"),
        ("x.py", "Pump.run", "return left"),
        ("x.sql", "three", "a"),
        ("x.sql", "one", "a"),
        ("x.sql", "one", "SELECT b"),
    ],
)
def test_what_is_not_there_exactly_once_is_an_error(file: str, within: str, old: str) -> None:
    with pytest.raises(DoesNotApplyError, match=r"x\.(py|sql)"):
        Swap(file, within, old, "0").applied(PYTHON if file == "x.py" else SQL)
