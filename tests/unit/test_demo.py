"""What the demo shows and asks, without running it."""

from __future__ import annotations

import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.demo import consent, environment, record
from syncline.demo.children import Lines
from syncline.demo.formatting import duration, number, sparkline
from syncline.demo.picture import Picture, Rate, Visible, WorkerState, percentile
from syncline.demo.proof import measured, proved
from syncline.demo.sampler import Sample
from syncline.demo.view import plain_line, view
from syncline.errors import ConsentError
from syncline.verify.report import EntityReport, Finding, Kind, Mode, VerifyReport

WAYS_IN = [("PostgreSQL", "psql postgresql://postgres@127.0.0.1:5432/demo"), ("Syncline", "syncline status --watch 1")]


def picture() -> Picture:
    shown = Picture(now=110.0, began=100.0, seconds=25.0)
    shown.commits.total, shown.rollbacks, shown.kills = 3000, 120, 1
    shown.visible = [Visible(100.0 + n / 20, 0.002) for n in range(199)]
    shown.worker, shown.worker_pid = WorkerState.WORKING, 4242
    shown.sample = Sample(
        queue=1234, lag_seconds=0.25, lanes_owned=64, rows={"users": 1000, "todos": 3}, documents={"users": 999}
    )
    shown.note("burst: 20,000 rows")
    shown.draw()
    return shown


def drawn(width: int, height: int = 40, shown: Picture | None = None) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(view(shown or picture(), ("PostgreSQL 18", "MongoDB 9"), WAYS_IN, width, height))
    return captured.get().splitlines()


def test_durations_have_three_digits_and_a_unit():
    assert [duration(s) for s in (None, 0, 0.0021, 0.01, 0.25, 0.9996, 3.14159, 100)] == [
        "-", "0 s", "2.1 ms", "10 ms", "250 ms", "1.0 s", "3.1 s", "100 s",
    ]  # fmt: skip


def test_numbers_are_separated():
    assert number(1234567.4) == "1,234,567"


def test_a_curve_is_as_high_as_its_highest_value():
    assert sparkline([0, 1, 2, 7], 10) == "▁▂▃█"


def test_a_curve_shows_its_newest_values():
    assert sparkline([7, 0, 0, 0], 2) == "▁▁"


def test_a_peak_is_not_lost_between_two_bars():
    assert sparkline([0, 0, 7, 0, 0, 0], 10, size=3) == "█▁"


def test_a_logarithmic_curve_shows_small_and_large():
    assert sparkline([0.001, 0.01, 0.1, 1], 10, logarithmic=True) == "▁▄▆█"


def test_a_flat_curve_has_no_height():
    assert sparkline([0, 0, 0], 10) == "▁▁▁"


@pytest.mark.parametrize(("percent", "value"), [(50, 2), (99, 4), (1, 1)])
def test_percentiles_are_nearest_rank(percent, value):
    assert percentile([4, 1, 3, 2], percent) == value


def test_nothing_has_no_percentile():
    assert percentile([], 50) is None


def test_a_rate_is_that_of_the_last_second():
    rate = Rate()
    for step in range(41):
        rate.total = 100 * min(step, 20)
        rate.tick(step / 10)
    assert rate.per_second == 0
    rate.total += 50
    rate.tick(4.1)
    assert rate.per_second == pytest.approx(50, rel=0.15)


def test_what_is_still_missing_counts_in_the_percentiles():
    shown = picture()
    shown.waiting = [3.0] * 100
    assert percentile(shown.recent(), 99) == 3.0


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_view_fits_its_terminal(width):
    assert max(len(line) for line in drawn(width)) <= width


def test_many_entities_leave_room_for_the_ways_in():
    shown = picture()
    names = [f"entity{n}" for n in range(10)]
    shown.sample = Sample(rows={name: n for n, name in enumerate(names)}, documents={})
    lines = drawn(80, 24, shown)
    assert len(lines) < 24
    assert WAYS_IN[-1][1] in lines[-1]
    assert any("more" in line for line in lines)
    assert any("entity9" in line for line in lines), "the largest"


def test_a_second_traffic_process_goes_on_counting():
    shown = picture()
    report = {"commits": 10, "rollbacks": 1, "seen": [], "waiting": []}
    shown.restart(200.0, 0.0)
    shown.traffic(report)
    assert (shown.commits.total, shown.rollbacks) == (3010, 121)


def test_what_is_applied_is_told_by_entity():
    shown = Picture(now=1.0, names={"todos": "todo"})
    shown.batch({"collection": "todos", "applied": 3, "deleted": 1})
    assert shown.applied_by_entity["todo"].total == 4


def test_the_view_fits_24_lines():
    shown = picture()
    for n in range(20):
        shown.note(f"event {n}")
    assert len(drawn(80, 24, shown)) <= 23


def test_the_view_has_the_numbers():
    text = "\n".join(drawn(100))
    for wanted in (
        "10.0 of 25 s",
        "1,234",
        "lag 250 ms",
        "p50 2.0 ms",
        "process 4242",
        "64 of 64 lanes",
        "burst: 20,000",
    ):
        assert wanted in text


def test_a_line_has_the_numbers():
    assert "queue 1,234, lag 250 ms, visible p50 2.0 ms p99 2.0 ms, worker working" in plain_line(picture())


def report(*findings: Finding) -> VerifyReport:
    entities = [
        EntityReport("users", Mode.FULL, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), records=1000),
        EntityReport("todos", Mode.FULL, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC), records=234),
    ]
    for finding in findings:
        entities[0].add(finding)
    return VerifyReport(entities)


def test_the_proof_is_one_line():
    assert proved(report(), picture()) == (
        "proved equal as of 03:04:05 UTC: 1,234 records in 2 collections, 0 differences, "
        "after 3,000 commits, 120 rollbacks, 1 kill -9"
    )


def test_a_divergence_is_no_proof():
    text = proved(report(Finding("users", Kind.MISSING, "1", 1)), picture())
    assert text.startswith("Not equal: 1 record diverges")
    assert "proved" not in text


def test_the_time_of_the_kill_is_told_apart():
    shown = picture()
    shown.visible.append(Visible(104.99, 3.5))
    shown.killed, shown.recovered = 105.0, 109.0
    assert measured(shown).startswith("commit to visible: p50 2.0 ms, p99 2.0 ms")
    assert "3.5 s at most while the worker was dead" in measured(shown)


@pytest.fixture
def fresh_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNCLINE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SYNCLINE_ACCEPT_SSPL", raising=False)


@pytest.mark.usefixtures("fresh_machine")
def test_without_anybody_to_ask_the_error_says_how_to_answer():
    with pytest.raises(ConsentError, match=r"(?s)Server Side Public License.*SYNCLINE_ACCEPT_SSPL=1 or add --yes"):
        consent.settle(accepted=False, ask=None)


@pytest.mark.usefixtures("fresh_machine")
def test_a_no_is_a_no():
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(ConsentError, match="nothing was downloaded"):
        consent.settle(accepted=False, ask=refuse)
    assert len(asked) == 1


@pytest.mark.usefixtures("fresh_machine")
@pytest.mark.parametrize("environment", [{"SYNCLINE_ACCEPT_SSPL": "1"}, {}])
def test_an_answer_given_in_advance_is_enough(monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    consent.settle(accepted=not environment, ask=None)


def test_half_a_line_waits_for_its_other_half(tmp_path: Path):
    lines = Lines(tmp_path / "log")
    assert list(lines.new()) == []
    with lines.path.open("a") as file:
        file.write('{"a": 1}\nnot JSON\n{"b"')
        file.flush()
        assert list(lines.new()) == [{"a": 1}]
        file.write(": 2}\n")
        file.flush()
        assert list(lines.new()) == [{"b": 2}]


def test_the_picture_asks_no_other_host_and_has_no_path(tmp_path: Path):
    shown = view(picture(), ("PostgreSQL", "MongoDB"), WAYS_IN, record.WIDTH, record.HEIGHT)
    record.save(tmp_path / "demo.svg", shown, [("proved equal", "green")])
    text = (tmp_path / "demo.svg").read_text()
    assert "proved" in text
    assert "url(http" not in text
    assert "/tmp/" not in text


def test_the_command_that_is_shown_needs_nothing_of_the_shells_environment(tmp_path, monkeypatch):
    config = tmp_path / "a place" / "syncline.toml"
    config.parent.mkdir()
    config.write_text("")
    environment._write_command(
        tmp_path / "syncline", config, "postgresql://p@127.0.0.1:1/demo", "mongodb://127.0.0.1:1/demo"
    )
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@elsewhere/real")
    done = subprocess.run([tmp_path / "syncline", "config", "show"], capture_output=True, text=True, check=True)
    assert "127.0.0.1:1/demo" in done.stdout
    assert "elsewhere" not in done.stdout


@pytest.mark.parametrize("play", ["split", "migrate"])
@pytest.mark.parametrize("option", [["--keep"], ["--seconds", "9"]])
def test_an_option_that_a_play_does_not_know_is_refused(play, option):
    refused = CliRunner().invoke(app, ["demo", play, *option])
    assert refused.exit_code == 2
    assert f"{option[0]} is for `syncline demo sync`" in refused.stderr
