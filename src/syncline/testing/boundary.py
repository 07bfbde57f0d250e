"""The boundary guard as a pytest plugin: ``pytest_plugins = ["syncline.testing.boundary"]`` in ``conftest.py``.

While tests run, whatever crosses from one named database to another is an error, whatever the configuration says of
production; what is exempt, or cannot be seen into, is listed at the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from syncline.split.check import write_seen
from syncline.split.findings import Finding, Kind
from syncline.split.guard import Guard

_found = pytest.StashKey[dict[str, Finding]]()
_FINDINGS = TypeAdapter(list[Finding])
_OUTPUT = "syncline_findings"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.getgroup("syncline").addoption(
        "--syncline-findings",
        type=Path,
        metavar="FILE",
        help="write what crosses between databases to FILE, for `syncline split check --seen FILE`",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse crossings from now on, and listen."""
    found = config.stash[_found] = {}
    Guard.in_tests = True

    def keep(finding: Finding) -> None:
        found.setdefault(finding.id, finding)

    Guard.watchers.append(keep)


def pytest_unconfigure() -> None:
    """Be as before."""
    Guard.in_tests = False
    Guard.watchers.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give what a worker process of pytest-xdist has found to the one that reports."""
    if hasattr(session.config, "workeroutput"):
        found = [*session.config.stash[_found].values()]
        session.config.workeroutput[_OUTPUT] = _FINDINGS.dump_json(found).decode()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker process has found; one that was killed tells nothing."""
    told = getattr(node, "workeroutput", {}).get(_OUTPUT, "[]")
    for finding in _FINDINGS.validate_json(told):
        node.config.stash[_found].setdefault(finding.id, finding)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was let through."""
    if hasattr(config, "workerinput"):
        return
    found = config.stash[_found]
    path = config.getoption("syncline_findings")
    if path is not None:
        write_seen(path, found.values())
    shown = [one for one in found.values() if one.exempt is not None or one.kind is Kind.UNSEEN]
    if shown:
        terminalreporter.section("between databases")
        for one in shown:
            why = f"exempt until {one.exempt.until}: {one.exempt.reason}" if one.exempt else one.remedy
            terminalreporter.write_line(f"{one.id} at {one.where or '?'}\n  {one.message}\n  {why}")
