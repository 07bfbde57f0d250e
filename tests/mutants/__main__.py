# ruff: noqa: T201  (a command prints)
"""``python -m tests.mutants [--only NAME]``: make each mutant, run the tests that must notice, say which did."""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests import engines
from tests.mutants.anchor import DoesNotApplyError
from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 180
NO_SERVERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    mutant: Mutant
    red: Mapping[str, str]
    """Test to its first error."""
    green: Sequence[str]
    seconds: float
    trouble: str = ""

    @property
    def caught(self) -> bool:
        """Every test that names it has turned red."""
        return not self.trouble and not self.green and bool(self.red)


def check(mutant: Mutant) -> None:
    """See that what the mutant changes is in the source, that the change is Python, and that its tests exist.

    Raises:
        DoesNotApplyError: something of it is missing.

    """
    for file in mutant.files:
        if not (ROOT / "src" / file).exists():
            raise DoesNotApplyError(f"mutant {mutant.name}: there is no {file}")
        text = mutant.applied(file, (ROOT / "src" / file).read_text("utf-8"))
        if file.endswith(".py"):
            ast.parse(text)
    for test in mutant.tests:
        file, *_, name = test.split("::")
        if not any(f"def {name}(" in text for text in _texts(file)):
            raise DoesNotApplyError(f"mutant {mutant.name}: there is no test {test}")


def _texts(file: str) -> Iterator[str]:
    """Give the text of a file of tests, and of the contract that it may inherit."""
    if (ROOT / file).exists():
        yield (text := (ROOT / file).read_text("utf-8"))
        if "Contract" in text:
            testing = ROOT / "src/syncline/testing"
            parts = (*(testing / "contract").glob("*.py"), testing / "repositories.py")
            yield from (part.read_text("utf-8") for part in parts)


def run(mutant: Mutant, servers: Mapping[str, str] = NO_SERVERS) -> Outcome:
    """Run the tests of a mutant in a process of their own.

    Args:
        mutant: what is taken out.
        servers: environment variables that name servers to share; by default the tests start their own.

    """
    began = time.monotonic()
    try:
        check(mutant)
    except DoesNotApplyError as error:
        return Outcome(mutant, {}, mutant.tests, 0, str(error))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.mutants.plugin",
        "-q",
        "--tb=line",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_asyncio.plugin",
    ]
    # Plugins that no test of a mutant needs take half of the time until the first of them begins.
    ours = {"SYNCLINE_MUTANT": mutant.name, "COLUMNS": "400", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = {**os.environ, **ours, **servers}
    environment.pop("PYTEST_XDIST_WORKER", None)
    environment.pop("PYTEST_ADDOPTS", None)
    try:
        done = subprocess.run(
            [*command, *mutant.tests],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(mutant, dict.fromkeys(mutant.tests, "it never ends"), [], time.monotonic() - began)
    verdicts = _verdicts(done.stdout)
    red = {test: verdicts[test] for test in mutant.tests if verdicts.get(test)}
    green = [test for test in mutant.tests if test not in red]
    trouble = "" if done.returncode in (0, 1) else done.stdout[-2000:] + done.stderr[-2000:]
    return Outcome(mutant, red, green, time.monotonic() - began, trouble)


def _verdicts(output: str) -> dict[str, str]:
    """Read each test's error from pytest's summary; a parametrised test is red when one of its cases is."""
    found: dict[str, str] = {}
    for word, test, error in re.findall(
        r"^(FAILED|ERROR|PASSED) ([^\s\[]+)(?:\[.*?\])?(?: - (.*))?$", output, re.MULTILINE
    ):
        found[test] = found.get(test) or ("" if word == "PASSED" else error or word)
    return found


def main() -> int:
    """Run mutants; 1 if any survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="only this one (may be repeated)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--list", action="store_true", help="list them")
    parser.add_argument("--check", action="store_true", help="only see that they fit the source; runs nothing")
    options = parser.parse_args()
    if unknown := set(options.only or ()) - {mutant.name for mutant in MUTANTS}:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in MUTANTS if not options.only or mutant.name in options.only]
    if options.list:
        print("\n".join(f"{mutant.name:40} {mutant.says}" for mutant in chosen))
        return 0
    return _check(chosen) if options.check else _run(chosen, options.jobs)


def _check(chosen: Sequence[Mutant]) -> int:
    wrong = 0
    for mutant in chosen:
        try:
            check(mutant)
        except (DoesNotApplyError, SyntaxError) as error:
            print(error)
            wrong += 1
    print(f"{len(chosen) - wrong} of {len(chosen)} mutants fit the source")
    return 1 if wrong else 0


def _run(chosen: Sequence[Mutant], jobs: int) -> int:
    with (
        engines.running_postgres() as postgres,
        engines.running_mongo() as mongo,
        ThreadPoolExecutor(jobs) as pool,
    ):
        servers = {engines.SHARED_POSTGRES: postgres.url, engines.SHARED_MONGO: mongo.url}
        first = list(map(_told, pool.map(lambda mutant: run(mutant, servers), chosen)))
    # What other tests hold open on a shared server keeps its oldest transaction, and so the low-water mark, where it is.
    survived = [_told(run(outcome.mutant)) for outcome in first if not outcome.caught]
    count = sum(not outcome.caught for outcome in survived)
    print(f"{len(chosen) - count} of {len(chosen)} mutants caught")
    return 1 if count else 0


def _told(outcome: Outcome) -> Outcome:
    print(
        f"{'caught' if outcome.caught else 'SURVIVED':9} {outcome.mutant.name:40} {outcome.seconds:4.0f} s", flush=True
    )
    for test, error in outcome.red.items():
        print(f"{'':10}red   {test.split('::')[-1]}: {error[:150]}")
    for test in outcome.green:
        print(f"{'':10}GREEN {test.split('::')[-1]}")
    if outcome.trouble:
        print(outcome.trouble)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
