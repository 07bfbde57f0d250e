"""This tree beside another commit: the same engines, the same run, each figure in alternating pairs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.figure import Figure, read
from benchmarks.pairs import METHOD, Comparison
from benchmarks.stage import Sizes, Stage

ROOT = Path(__file__).parents[1]
ITS_OWN = ("product.py", "worker.py", "application_app.py")
"""What fits the commit's Syncline rather than ours; taken from the commit if it has the first of them."""
PINS = Path("requirements/dev.txt")


class AgainstError(Exception):
    """The comparison cannot be made."""


@dataclass(frozen=True)
class Side:
    """A tree, and the interpreter with what it requires."""

    name: str
    tree: Path
    python: Path

    def measure(self, name: str, on: Stage, sizes: Sizes) -> list[Figure]:
        """Measure once, in a process of its own.

        Raises:
            AgainstError: it did not end well.

        """
        stage = {"postgres": on.postgres.url, "mongo": on.mongo.url, "folder": str(on.folder), "sizes": asdict(sizes)}
        done = subprocess.run(
            [self.python, "-m", "benchmarks.player", name, json.dumps(stage)],
            cwd=self.tree,
            env=os.environ | {"PYTHONPATH": str(self.tree / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AgainstError(f"{name} does not run on {self.name}:\n{done.stderr[-3000:]}")
        return list(read(json.loads(done.stdout.splitlines()[-1])))


def compare(
    names: Sequence[str], on: Stage, other: Side, sizes: Sizes, *, pairs: int, limit: float
) -> Iterator[Comparison]:
    """Measure everything on both sides; who goes first changes from pair to pair."""
    this = Side("this", ROOT, Path(sys.executable))
    for name in names:
        runs: dict[str, list[list[Figure]]] = {"this": [], other.name: []}
        for number in range(pairs):
            print(f"{name}: pair {number + 1} of {pairs}", file=sys.stderr, flush=True)
            for side in (this, other) if number % 2 else (other, this):
                runs[side.name].append(side.measure(name, on, sizes))
        for ours, theirs in zip(zip(*runs["this"], strict=True), zip(*runs[other.name], strict=True), strict=True):
            yield Comparison(ours, theirs, limit)


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Side]:
    """Give a commit's tree, with our benchmarks over its own; it is removed at the end.

    Raises:
        AgainstError: there is no such commit.

    """
    found = _git("rev-parse", "--short", "--verify", "--quiet", f"{commit}^{{commit}}", check=False)
    if found.returncode:
        raise AgainstError(f"there is no commit {commit} in this repository")
    name = found.stdout.strip()
    with _removed_when_terminated(), tempfile.TemporaryDirectory(prefix="syncline-against-") as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--detach", "--quiet", str(tree), name)
        try:
            _overlay(tree)
            yield Side(name, tree, _interpreter(tree, Path(folder)))
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _overlay(tree: Path) -> None:
    theirs = tree / "benchmarks"
    kept = ITS_OWN if (theirs / ITS_OWN[0]).exists() else ()
    theirs.mkdir(exist_ok=True)
    for ours in (ROOT / "benchmarks").iterdir():
        if ours.is_file() and ours.name not in kept:
            shutil.copy2(ours, theirs)


def _interpreter(tree: Path, folder: Path) -> Path:
    """Take our virtual environment if it has all that the tree requires, in the same versions; else make one."""
    if _pinned(tree) <= _pinned(ROOT):
        return Path(sys.executable)
    print("other requirements: installing them for the commit …", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--require-hashes", "-r", tree / PINS], check=True)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "-e", tree], check=True)  # its metadata is asked for
    return python


def _pinned(tree: Path) -> set[str]:
    """List what a tree requires, with versions."""
    return set(re.findall(r"^[\w.\[\]-]+==\S+", (tree / PINS).read_text("utf-8"), re.MULTILINE))


def _git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=check)


@contextlib.contextmanager
def _removed_when_terminated() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, so that nothing is left behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


__all__ = ["METHOD", "AgainstError", "Side", "checked_out", "compare"]
