"""``make bench --against``: when a figure counts as worse, and what a commit's tree consists of."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks import against
from benchmarks.figure import Figure
from benchmarks.pairs import Comparison, interval


def figures(unit: str, *values: float) -> list[Figure]:
    return [Figure("line", value, unit, 1.0, 100.0) for value in values]


@pytest.mark.parametrize(
    ("count", "expected"), [(6, (1, 6)), (7, (1, 7)), (9, (2, 8)), (12, (3, 10)), (20, (6, 15)), (100, (40, 61))]
)
def test_the_interval_is_that_of_the_sign_test(count: int, expected: tuple[int, int]) -> None:
    """Ranks as tabulated for the 95 % interval of a median."""
    assert interval([*range(count, 0, -1)]) == expected


@pytest.mark.parametrize(
    ("unit", "this", "other", "ratio"), [("/s", 110.0, 100.0, 1.1), ("ms", 100.0, 110.0, 1.1), ("s", 2.0, 1.0, 0.5)]
)
def test_above_one_this_tree_is_the_better_one(unit: str, this: float, other: float, ratio: float) -> None:
    compared = Comparison(figures(unit, *[this] * 7), figures(unit, *[other] * 7), 0.95)
    assert compared.ratios == pytest.approx([ratio] * 7)


@pytest.mark.parametrize(("best", "missed"), [(0.94, True), (0.96, False)])
def test_a_line_is_missed_when_the_whole_interval_lies_below_the_limit(best: float, missed: bool) -> None:
    compared = Comparison(figures("/s", 50, 60, 70, 80, 85, 90, best * 100), figures("/s", *[100] * 7), 0.95)
    assert compared.missed is missed
    assert compared.told("abc").startswith("MISS" if missed else "ok")


def test_processor_time_has_a_ratio_of_its_own_where_it_was_measured() -> None:
    """It is steadier than the times: a machine that others use hides a loss in them."""
    cheap, dear = [[Figure("line", 100.0, "/s", cpu, 1.0) for _ in range(7)] for cpu in (10.0, 12.0)]
    assert Comparison(cheap, dear, 0.95).cpu_ratios == pytest.approx([1.2] * 7)
    assert "processor  1.200" in Comparison(cheap, dear, 0.95).told("abc")
    unmeasured = [Figure("line", 100.0, "/s", 0.0, 0.0) for _ in range(7)]
    assert "processor" not in Comparison(unmeasured, dear, 0.95).told("abc")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of a product and its benchmarks, and changes after it."""
    root = tmp_path / "repository"
    for file, text in {"src/product.py": "old", "benchmarks/player.py": "old", "requirements/dev.txt": ""}.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    for file in ("src/product.py", "benchmarks/player.py", "benchmarks/product.py"):
        (root / file).write_text("new")
    monkeypatch.setattr(against, "ROOT", root)
    return root


def worktrees(root: Path) -> int:
    told = subprocess.run(["git", "worktree", "list"], cwd=root, check=True, capture_output=True, text=True)
    return len(told.stdout.splitlines())


def test_a_commits_own_product_is_measured_by_our_benchmarks_and_goes_afterwards(repository: Path) -> None:
    with against.checked_out("HEAD") as side:
        assert (side.tree / "src/product.py").read_text() == "old"
        assert (side.tree / "benchmarks/player.py").read_text() == "new"
        assert (side.tree / "benchmarks/product.py").read_text() == "new", "the commit has none of its own"
        assert worktrees(repository) == 2
    assert worktrees(repository) == 1
    assert not side.tree.exists()


def test_what_fits_the_commit_is_taken_from_it(repository: Path) -> None:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@localhost"]
    for command in (["add", "-A"], [*identity, "commit", "-qm", "second"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    (repository / "benchmarks/product.py").write_text("newer")
    (repository / "benchmarks/player.py").write_text("newer")
    with against.checked_out("HEAD") as side:
        assert (side.tree / "benchmarks/product.py").read_text() == "new"
        assert (side.tree / "benchmarks/player.py").read_text() == "newer"


def test_an_environment_that_has_more_than_the_commit_requires_is_taken(repository: Path) -> None:
    (repository / "requirements/dev.txt").write_text("pytest==9.0.0 \\\n    --hash=sha256:00\n    # via syncline\n")
    with against.checked_out("HEAD") as side:
        assert side.python == Path(sys.executable)


def test_the_tree_goes_when_the_run_fails(repository: Path) -> None:
    with pytest.raises(KeyboardInterrupt), against.checked_out("HEAD"):
        raise KeyboardInterrupt
    assert worktrees(repository) == 1


def test_an_unknown_commit_is_said(repository: Path) -> None:
    with pytest.raises(against.AgainstError, match="no commit nonesuch"), against.checked_out("nonesuch"):
        pass


def test_what_runs_beside_a_benchmark_ends_with_it() -> None:
    script = "import sys, time\nfrom benchmarks.companions import companion\n"
    script += "print(companion([sys.executable, '-c', 'input()'], stdin=-1).pid, flush=True)\ntime.sleep(100)"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    running = Path(f"/proc/{pid}/stat")
    assert running.exists()
    parent.kill()
    parent.communicate()
    for _ in range(1000):
        if not running.exists() or running.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    raise AssertionError("it is still there")
