# ruff: noqa: T201  it is a command
"""Explore: ``python -m tests.model [--large] [--mutants] [--found] [--trace] [SCOPE…]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.model.documents import scopes as documents
from tests.model.documents import world as document_world
from tests.model.documents.scope import DocumentScope
from tests.model.explorer import explore
from tests.model.mutants import MUTANTS, mutant
from tests.model.phases import scopes as phases
from tests.model.phases.world import AnyPhaseScope
from tests.model.phases.world import explore as explore_phases
from tests.model.scope import Scope
from tests.model.scopes import FOUND, LARGE, SMALL
from tests.model.search import Result
from tests.model.sql import scopes as sql
from tests.model.sql import world
from tests.model.sql.scope import SqlScope
from tests.model.switch import scopes as switching
from tests.model.switch import world as switch_world
from tests.model.switch.scope import SwitchScope

AnyScope = Scope | SqlScope | SwitchScope | DocumentScope | AnyPhaseScope


def main() -> int:
    """Explore what is asked for; exit status 1 when the design fails, or a mutant does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCOPE", help="only these (scopes, mutants, known limits)")
    parser.add_argument("--small", action="store_true", help="leave out the large scopes")
    parser.add_argument("--large", action="store_true", help="only the large scopes")
    parser.add_argument("--limit", type=int, default=0, help="give up after so many states")
    parser.add_argument("--trace", action="store_true", help="print every counterexample, also those that are expected")
    options = parser.parse_args()
    unexpected = 0
    for name, scope, holds in _chosen(options.names, small=not options.large, large=not options.small):
        result = _explored(scope, options.limit)
        cut = not result.complete and bool(options.limit)
        expected = not result.broken and (result.complete or cut) if holds else bool(result.broken)
        unexpected += not expected
        print(line(name, result), "" if expected else "  <-- UNEXPECTED", flush=True)
        if result.broken and (options.trace or holds):
            print("\n".join(f"    {number:2} {step}" for number, step in enumerate(result.trace, 1)))
            print(f"    => {result.broken}", flush=True)
    return int(unexpected > 0)


def _explored(scope: AnyScope, limit: int) -> Result:
    if isinstance(scope, SqlScope):
        return world.explore(replace(scope, limit=limit) if limit else scope)
    if isinstance(scope, SwitchScope):
        return switch_world.explore(replace(scope, limit=limit) if limit else scope)
    if isinstance(scope, DocumentScope):
        return document_world.explore(replace(scope, limit=limit) if limit else scope)
    if isinstance(scope, AnyPhaseScope):
        return explore_phases(replace(scope, limit=limit) if limit else scope)
    return explore(replace(scope, limit=limit) if limit else scope)


def _chosen(names: list[str], *, small: bool, large: bool) -> Iterator[tuple[str, AnyScope, bool]]:
    groups: list[tuple[Mapping[str, AnyScope], bool]] = []
    if small or names:
        groups += [(SMALL, True), ({name: mutant(name) for name in MUTANTS}, False), (FOUND, False)]
        groups += [(sql.SMALL, True), (sql.MUTANTS, False), (switching.SMALL, True), (switching.MUTANTS, False)]
        groups += [(documents.SMALL, True), (documents.MUTANTS, False)]
        groups += [(phases.SMALL, True), (phases.MUTANTS, False)]
    if large or names:
        groups += [
            (LARGE, True),
            (sql.LARGE, True),
            (switching.LARGE, True),
            (documents.LARGE, True),
            (phases.LARGE, True),
        ]
    for group, holds in groups:
        for name, scope in group.items():
            if not names or name in names:
                yield name, scope, holds


def line(name: str, result: Result) -> str:
    """Sum up an exploration."""
    how = "holds" if result.complete and not result.broken else "FAILS" if result.broken else "cut short"
    return f"{how:9} {name:42} {result.states:>9} states  depth {result.depth:3}  {result.seconds:7.1f} s"


if __name__ == "__main__":
    sys.exit(main())
