"""``make matrix``: what it runs on which release, and that nothing is left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.embedded.postgres import find_binaries
from syncline.errors import EngineError
from tests import djangos, versions
from tests.debian import UnavailableError


def test_a_test_that_is_not_marked_finds_no_server() -> None:
    """It would be missing where every release is tested."""
    with pytest.raises(EngineError, match="needs/the/mark/engines"):
        find_binaries()


def test_the_reference_application_runs_on_the_oldest_and_the_newest() -> None:
    with_examples = [major for major in versions.RELEASES if versions.EXAMPLES in versions.suite(major)]
    assert with_examples == [14, 18]


def test_both_releases_of_django_are_run_and_one_that_cannot_be_had_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(djangos, "run", lambda release: ran.append(release.name) is not None)
    assert djangos.main() == 0
    assert ran == ["5.2", "6"]
    assert all((djangos.ROOT / place).exists() for place in djangos.SUITE)
    monkeypatch.undo()
    nowhere = djangos.Release("9", "django>=9", ("9.9",))
    monkeypatch.setattr(djangos, "RELEASES", (nowhere,))
    monkeypatch.setattr(djangos, "cache_dir", lambda: Path("/nonexistent"))
    assert djangos.main() == 1
    assert capsys.readouterr().out == "not run: Django 9: no Python 9.9 is here\n"


def test_a_release_that_cannot_be_had_is_said_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(major: int) -> Path:
        raise UnavailableError(f"PostgreSQL {major} is on no shelf")

    monkeypatch.setattr(versions, "binaries", nowhere)
    monkeypatch.setattr(versions, "DEBIANS", {"PgBouncer": lambda: nowhere(0)})
    assert versions.main(["--only", "15"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "PgBouncer: its tests are skipped: PostgreSQL 0 is on no shelf",
        "not run: PostgreSQL 15 is on no shelf",
    ]
