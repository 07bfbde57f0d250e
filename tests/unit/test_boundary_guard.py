"""The boundary guard without a server: what it refuses, tells of, lets through, and what that costs."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import structlog

from syncline.config.named import Exemption, SplitSettings
from syncline.errors import AcrossDatabasesError, SecondDatabaseError
from syncline.split.callers import caller
from syncline.split.findings import REMEDIES, Exemptions, Finding, Kind
from syncline.split.guard import Guard
from syncline.split.ownership import Ownership, Rules
from syncline.split.routing import Ledger, Routing
from syncline.split.statements import Placeholders
from syncline.split.texts import digest

JOIN = "SELECT * FROM users AS u JOIN carriers AS c ON c.user_id = u.id WHERE u.id = %s"
TODAY = date(2026, 5, 1)


@pytest.fixture
def routing() -> Routing:
    return Routing(
        Ownership({"primary": Rules(tables=("users", "roles")), "data": Rules(tables=("carriers",))}), split=False
    )


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as logs:
        yield logs


def guarding(routing: Routing, **settings: Any) -> Guard:
    draws = iter([0.5, 0.5, 0.001] + [0.5] * 100)
    return Guard(routing, SplitSettings(**settings), today=lambda: TODAY, draw=lambda: next(draws))


def send(routing: Routing, sql: str, ledger: Ledger | None = None) -> None:
    routing.look(sql, Placeholders.PERCENT, ledger=ledger)


def exempt(finding: str, until: date = TODAY) -> dict[str, Any]:
    return {"exempt": [Exemption(finding=finding, reason="moves in June", until=until)]}


def test_what_stays_on_one_side_is_nobodys_business(routing: Routing):
    guard = guarding(routing)
    for sql in ("SELECT * FROM users JOIN roles USING (id)", "UPDATE carriers SET name = 'x'", "SELECT 1"):
        send(routing, sql)
    assert guard.findings == {}


def test_a_crossing_is_refused_and_noted(routing: Routing, logged: list[Any]):
    guard = guarding(routing)
    with pytest.raises(AcrossDatabasesError, match="users in primary; carriers in data"):
        send(routing, JOIN)
    (finding,) = guard.findings
    assert finding.id == f"statement:{digest(JOIN, Placeholders.PERCENT)}"
    assert logged == []


def test_a_transaction_that_writes_to_both_is_refused(routing: Routing):
    guard, ledger = guarding(routing), Ledger()
    send(routing, "UPDATE users SET name = %s", ledger)
    send(routing, "SELECT * FROM carriers", ledger)
    with pytest.raises(SecondDatabaseError):
        send(routing, "SELECT * FROM carriers FOR KEY SHARE", ledger)
    assert [finding.kind for finding in guard.findings] == [Kind.TRANSACTION]


def test_in_production_it_is_a_warning_with_the_applications_line(routing: Routing, logged: list[Any]):
    guard = guarding(routing, crossings="warn")
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    routing.look(JOIN, Placeholders.PERCENT)
    (event,) = logged
    assert event["log_level"] == "warning"
    assert event["where"] == f"{__file__}:{line}"
    assert event["finding"] == f"statement:{digest(JOIN, Placeholders.PERCENT)}"
    assert "application" in event["hint"]
    assert list(guard.findings.values()) == [1]


def test_warnings_are_sampled_and_all_are_counted(routing: Routing, logged: list[Any]):
    guard = guarding(routing, crossings="warn")
    for _ in range(20):
        send(routing, JOIN)
    assert [event["count"] for event in logged] == [1, 4], "the first, and those that are drawn"
    assert list(guard.findings.values()) == [20]


def test_the_same_statement_from_another_line_is_told_of_again(routing: Routing, logged: list[Any]):
    guarding(routing, crossings="warn")
    routing.look(JOIN, Placeholders.PERCENT)
    routing.look(JOIN.replace("u.id = %s", "u.id = 7"), Placeholders.PERCENT)
    assert len({event["where"] for event in logged}) == 2
    assert len({event["finding"] for event in logged}) == 1, "values do not make another statement"


def test_what_is_exempt_passes_in_silence_until_its_day(routing: Routing, logged: list[Any]):
    guard = guarding(routing, **exempt(f"statement:{digest(JOIN, Placeholders.PERCENT)}"))
    send(routing, JOIN)
    (finding,) = guard.findings
    assert finding.exempt is not None
    assert logged == []


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("function:public.f(integer[])", True),
        ("function:public.f(*", True),
        ("*", True),
        ("function:public.f(integer?)", False),
        ("function:public.f", False),
    ],
)
def test_an_exemption_is_an_id_in_which_only_the_asterisk_is_special(pattern: str, fits: bool):
    one = Exemption(finding=pattern, reason="moves in June", until=TODAY)
    judged = Exemptions([one], TODAY).judge(Finding(Kind.FUNCTION, "public.f(integer[])", "…"))
    assert (judged.exempt is one) is fits


def test_an_expired_exemption_lets_nothing_through(routing: Routing):
    guarding(routing, **exempt("statement:*", date(2026, 4, 30)))
    with pytest.raises(AcrossDatabasesError):
        send(routing, JOIN)


def test_in_tests_a_warning_is_an_error(routing: Routing, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Guard, "in_tests", True)
    guarding(routing, crossings="warn")
    with pytest.raises(AcrossDatabasesError):
        send(routing, JOIN)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELEC 1", "syntax error"),
        ("DO $$ BEGIN EXECUTE 'SELECT ' || 1; END $$", "dynamic SQL"),
        ("EXECUTE plan(1)", "prepared elsewhere"),
        ("DO LANGUAGE plpython3u $$ pass $$", "plpython3u"),
    ],
)
def test_what_cannot_be_seen_into_is_told_of(routing: Routing, logged: list[Any], sql: str, why: str):
    guard = guarding(routing)
    send(routing, sql)
    (finding,) = guard.findings
    assert finding.kind is Kind.UNSEEN
    assert why in finding.message
    assert len(logged) == 1


def test_after_the_split_nothing_is_let_through(routing: Routing):
    split = Routing(routing.ownership, split=True)
    guarding(split, crossings="warn", **exempt("statement:*"))
    with pytest.raises(AcrossDatabasesError):
        send(split, JOIN)


async def test_the_line_is_found_below_a_greenlet_too():
    """SQLAlchemy's asyncio calls the driver from a greenlet of its own."""
    from sqlalchemy.util import greenlet_spawn

    async def inner() -> str | None:
        return await greenlet_spawn(caller)

    async def outer() -> str | None:
        await asyncio.sleep(0)
        return await inner()

    found = await outer()
    assert found is not None
    assert found.startswith(f"{__file__}:")


def test_each_kind_of_finding_has_a_way_to_remove_it():
    assert set(REMEDIES) == set(Kind)


def test_the_tally_counts_what_was_looked_at_and_what_no_exemption_lets_through(routing: Routing):
    guard = guarding(routing, crossings="warn", warn_sample=0.25)
    for sql in ("SELECT 1", JOIN, JOIN):
        send(routing, sql)
    assert (guard.tally.statements, guard.tally.findings, guard.tally.logged) == (3, 2, 0.25)
    guard = guarding(routing, crossings="warn", **exempt("statement:*"))
    send(routing, JOIN)
    assert (guard.tally.findings, guard.tally.latest) == (0, None)


def test_the_tally_counts_crossings_of_split_mode_too():
    routing = Routing(
        Ownership({"primary": Rules(tables=("users", "roles")), "data": Rules(tables=("carriers",))}), split=True
    )
    guard = guarding(routing)
    with pytest.raises(AcrossDatabasesError):
        send(routing, JOIN)
    assert guard.tally.findings == 1
    assert (guard.tally.latest or "").startswith("statement:")
    assert guard.findings == {}
