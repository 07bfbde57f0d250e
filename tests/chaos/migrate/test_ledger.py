"""The judge of a migration under chaos names each kind of fault, and nothing else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.migrate.cards import differences, wanted
from tests.chaos.migrate.ledger import DONE, LIFE, UNKNOWN, Changed, Ledger

PUT = {"effect": "put", "by_service": False, "counts": 0}
SERVED, COUNTED, GONE = PUT | {"by_service": True}, PUT | {"counts": 1}, PUT | {"effect": "gone"}
FIRST = LIFE + 1


def begin(number: int, what: dict[str, Any], *keys: str, at: float = 1.0, phase: str = "off") -> list[Any]:
    return ["begin", 0, number, what, keys, at, at, phase]


def end(*outcomes: str, at: float = 2.0, phase: str = "off") -> list[Any]:
    return ["end", 0, at, outcomes, phase]


def read(key: str, value: int | None, how: str = "any", *, in_ramp: bool = False, life: int = 1) -> list[Any]:
    return ["read", 0, life, 1.0, 1.0, "ramp" if in_ramp else "off", key, value, how, in_ramp]


def told(tmp_path: Path, *lines: list[Any]) -> Ledger:
    path, ledger = tmp_path / "requests-0", Ledger()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '["begin", 0')
    ledger.read([path])
    ledger.close()
    return ledger


def card(key: str, number: int, **more: Any) -> dict[str, dict[str, Any]]:
    return {key: {"_id": key, "w0": number, **more}}


PUT_DONE = (begin(FIRST, PUT, "o0-1"), end(DONE))


def test_what_is_right_is_not_named(tmp_path):
    ledger = told(
        tmp_path,
        *PUT_DONE,
        read("o0-1", FIRST),
        begin(FIRST + 1, PUT, "o0-1"),
        end(UNKNOWN),
        read("o0-1", FIRST + 1),
        begin(FIRST + 2, COUNTED, "s00"),
        end(DONE),
        begin(FIRST + 3, COUNTED, "s00"),
        begin(2 * LIFE + 1, GONE, "o0-2"),
        end("absent"),
        begin(2 * LIFE + 2, PUT, "o0-3"),
        read("o0-3", 2 * LIFE + 2, life=3),
    )
    ledger.known[0, "s00"].certain = 0
    documents = card("o0-1", FIRST) | card("s00", FIRST + 3, h0=2) | card("o0-3", 2 * LIFE + 2)
    assert list(ledger.against(documents, ["o0-1", "o0-3", "s00"])) == []
    assert list(ledger.against(documents, ["o0-1", "o0-3", "s00"])) == []
    assert (ledger.acknowledged, ledger.since(1.5), ledger.since(2.0)) == (2, {0}, set())


@pytest.mark.parametrize(("phase", "wrong"), [("off", 0), ("dual_write", 0), ("ramp", 1)])
def test_rows_of_what_was_deleted_in_off_may_be_read_in_a_ramp(tmp_path, phase, wrong):
    """A delete leaves no tombstone there, so that nobody carries it."""
    gone = GONE | {"by_service": True}
    deleted = (begin(FIRST + 1, gone, "o0-1", phase=phase), end(DONE, phase=phase))
    ledger = told(tmp_path, *PUT_DONE, *deleted, read("o0-1", FIRST, in_ramp=True))
    assert len(ledger.wrong) == wrong


@pytest.mark.parametrize(
    ("lines", "documents", "said"),
    [
        (PUT_DONE, {}, "o0-1 has None of writer 0"),
        (PUT_DONE, card("o0-1", FIRST - 1), f"o0-1 has {FIRST - 1} of writer 0"),
        ((*PUT_DONE, begin(FIRST + 1, GONE, "o0-1"), end(DONE)), card("o0-1", FIRST), "has 100001 of writer 0"),
        ((*PUT_DONE, begin(FIRST + 1, PUT, "o0-1"), end("absent")), card("o0-1", FIRST), "was told that o0-1 is not there"),
        ((begin(FIRST, PUT, "o0-1"), end("there")), {}, "was told that o0-1 is there"),
        ((begin(FIRST, COUNTED, "s00"), end(DONE)), card("s00", FIRST, h0=2), "was counted 2 times"),
        ((begin(FIRST, COUNTED, "s00"), end(DONE)), card("s00", FIRST, h0=0), "was counted 0 times"),
        (PUT_DONE, card("o0-1", FIRST) | card("x", 1), "documents that nobody has written: ['x']"),
        ((*PUT_DONE, read("o0-1", None)), card("o0-1", FIRST), "reads None of o0-1"),
        ((["!", 0, "KeyError: 5"],), {}, "an error that nobody had announced: KeyError: 5"),
    ],
)  # fmt: skip
def test_what_is_lost_or_was_not_so_is_named(tmp_path, lines, documents, said):
    assert said in "; ".join(told(tmp_path, *lines).against(documents, ["o0-1", "s00"]))


@pytest.mark.parametrize(
    ("what", "how", "life", "named"),
    [
        (PUT, "any", 1, False),
        (SERVED, "any", 1, True),
        (SERVED, "any", 2, False),
        (PUT, "truth", 1, True),
    ],
    ids=["past the service", "by the service", "by a process before", "of the truth"],
)
def test_a_ramp_promises_what_the_process_wrote_by_the_service(tmp_path, what, how, life, named):
    lines = begin(FIRST, what, "o0-1"), end(DONE), read("o0-1", None, how, in_ramp=True, life=life)
    assert bool(told(tmp_path, *lines).wrong) is named


@pytest.mark.parametrize(
    ("at", "phase", "named"),
    [
        (0.5, "off", False),
        (1.5, "off", False),
        (1.5, "dual_write", False),
        (2.5, "dual_write", False),
        (2.5, "off", True),
        (3.5, "off", False),
        (3.5, "shadow", True),
        (4.5, "dual_write", False),
    ],
)
def test_who_goes_by_a_phase_that_was_over_is_named(tmp_path, at, phase, named):
    changes = [Changed(1.0, 2.0, "dual_write"), Changed(3.0, math.inf, "off"), Changed(4.0, 5.0, "dual_write")]
    ledger = told(tmp_path, begin(FIRST, PUT, "o0-1", at=at, phase=phase))
    assert bool([*ledger.outdated(changes, "off")]) is named


class Rows:
    """A connection that has these rows."""

    def __init__(self, *rows: Any) -> None:
        self.rows = rows


def test_rows_that_differ_are_named_by_key(monkeypatch):
    document = {
        "_id": "k",
        "w0": 3,
        "labels": ["a"],
        "steps": [{"n": 1, "who": ["p"]}],
        "more": {"at": 2, "deep": 1},
        "note": "x",
        "_sync": {"v": 1},
    }
    rows = [*wanted(document)]
    assert {table for table, *_ in rows} == {"", "labels", "steps", "steps_who", "more"}
    monkeypatch.setattr("tests.chaos.migrate.cards.there", lambda given: given.rows)
    assert differences({"k": document}, Rows(*rows)) == {}  # type: ignore[arg-type]
    for place in range(len(rows)):
        assert [*differences({"k": document}, Rows(*rows[:place], *rows[place + 1 :]))] == ["k"]  # type: ignore[arg-type]
    assert [*differences({}, Rows(*rows))] == ["k"]  # type: ignore[arg-type]
