"""``syncline phase``: how far each collection has come from MongoDB to PostgreSQL, and a step on, or back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_json, print_table, say
from syncline.cli.split_move import ForceOption, ReasonOption, say_aside

if TYPE_CHECKING:
    from pathlib import Path

    from syncline.phases.changing import Control
    from syncline.phases.evidence import Evidence
    from syncline.phases.in_mongodb import InMongoDB
    from syncline.phases.in_postgresql import InPostgreSQL
    from syncline.phases.standing import Change, Entry, Process, Standing

app = group("From MongoDB to PostgreSQL by phases: where collections stand, and a step on, or back.")
CollectionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COLLECTION]...", help="Which collections, as a group; by default all that are declared."),
]
PercentOption = Annotated[
    float | None, typer.Option("--percent", metavar="P", help="How much of the reads a ramp brings to PostgreSQL.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_HELD_BACK = 1


@dataclass(frozen=True)
class _Opened:
    """Both databases, and the collections that are asked about."""

    mongodb: InMongoDB
    postgresql: InPostgreSQL
    control: Control
    collections: tuple[str, ...]

    def gathered(self, change: Change) -> list[Evidence]:
        from syncline.phases.evidence import gathered

        return gathered(change.was, change.goal.phase, self.postgresql, self.mongodb)


@contextmanager
def _opened(config: Path | None, collections: Sequence[str] | None) -> Iterator[_Opened]:
    import os

    from syncline.cli.documents.common import documents_from
    from syncline.config.documents import load_documents
    from syncline.phases.changing import Control
    from syncline.phases.enabled import default_phase
    from syncline.phases.in_mongodb import InMongoDB
    from syncline.phases.in_postgresql import InPostgreSQL

    declared = (documents_from(config) or load_documents(config)).only(collections)
    urls = {side: declared.url(side) for side in ("source", "target")}
    for url in urls.values():
        keep_secret(url)
    mongodb, postgresql = InMongoDB(urls["source"], seconds=5), InPostgreSQL(urls["target"], seconds=10)
    names = tuple(mapping.collection.name for mapping in declared.mappings)
    try:
        yield _Opened(mongodb, postgresql, Control(mongodb, postgresql, default_phase(os.environ)), names)
    finally:
        mongodb.close()
        postgresql.close()


@app.command("status")
def status(collection: CollectionsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the phase of each collection, and which processes go by it. PostgreSQL may be away before `live`."""
    with _opened(config, collection) as both:
        standings = both.control.standings(both.collections)
        processes = both.mongodb.processes()
    rows = [_shown(name, standing, processes) for name, standing in standings.items()]
    if as_json:
        print_json({"collections": rows, "processes": [_process(one) for one in processes]})
        return
    table = [(row["collection"], row["phase"], _reads(row), row["since"], _told(row)) for row in rows]
    print_table(["collection", "phase", "reads", "since", "in effect"], table)


def _shown(name: str, standing: Standing, processes: Sequence[Process]) -> dict[str, Any]:
    behind = [one.name for one in processes if one.number < standing.number]
    since = standing.since.isoformat(timespec="seconds") if standing.since else None
    told = {"collection": name, "phase": str(standing.phase), "percent": standing.percent, "number": standing.number}
    return {**told, "since": since, "processes": len(processes), "behind": behind}


def _reads(row: dict[str, Any]) -> str:
    return f"{row['percent']:g} %" if row["phase"] == "ramp" else ""


def _told(row: dict[str, Any]) -> str:
    if row["behind"]:
        return f"not yet: {', '.join(row['behind'])}"
    return f"yes, {row['processes']} processes" if row["processes"] else "yes, no process runs"


def _process(one: Process) -> dict[str, Any]:
    return {"name": one.name, "number": one.number, "seconds": round(one.seconds, 1)}


@app.command("check")
def check(
    collection: CollectionsArgument = None,
    percent: PercentOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at what the next step needs: a clean verification, lag, rejected documents, shadow reads. Changes nothing.

    Exit status: 0 everything holds, 1 something does not, 3 could not run.
    """
    with _opened(config, collection) as both:
        change = both.control.forward(both.collections, percent)
        found = both.gathered(change)
    if as_json:
        print_json({**_change(change), "evidence": [_evidence(one) for one in found]})
    else:
        say(f"{', '.join(change.was)}: {_was(change)} → {change.goal}", "bold")
        for one in found:
            say(f"{'yes' if one.holds else 'NO ':4} {one}", "green" if one.holds else "red")
    if not all(one.holds for one in found):
        raise typer.Exit(_HELD_BACK)


@app.command("advance")
def advance(
    collection: CollectionsArgument = None,
    percent: PercentOption = None,
    force: ForceOption = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go one phase on, or raise a ramp's percentage, and wait until every process goes by it.

    Held back unless everything that `syncline phase check` looks at holds; --force with a --reason does it all the
    same, and writes that down. A group goes as a whole, from one phase.

    Exit status: 0 it is done; 3 it is not.
    """
    with _opened(config, collection) as both:
        change = both.control.forward(both.collections, percent)
        against = [str(one) for one in both.gathered(change) if not one.holds]
        if not (dry_run and not force):
            _forced(change, against, force=force, reason=reason)
        seconds = None
        if not dry_run:
            change = both.control.advance(change, reason=reason if against else None, against=against)
            _say_missed(change)
            seconds = _waited(both.control, change, as_json=as_json)
    _report(change, seconds, against, as_json=as_json)


@app.command("back")
def back(
    collection: CollectionsArgument = None,
    percent: PercentOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go one phase back, or lower a ramp's percentage, and wait until every process goes by it. It keeps every write.

    Before `live` PostgreSQL need not answer: MongoDB has the truth, and the journal gets the
    change with the next one.

    Exit status: 0 it is done; 3 it is not.
    """
    with _opened(config, collection) as both:
        change = both.control.backward(both.collections, percent)
        seconds = None
        if not dry_run:
            change = both.control.take_back(change, reason=reason)
            _say_missed(change)
            seconds = _waited(both.control, change, as_json=as_json)
    _report(change, seconds, [], as_json=as_json)


@app.command("history")
def history(
    collection: CollectionsArgument = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the newest.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the changes, the newest first: when, from what to what, by whom, and why it was forced."""
    with _opened(config, collection) as both:
        found = both.postgresql.history(both.collections, limit)
    rows = [_entry(one) for one in found]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        percent = f" ({_reads(row)})" if row["phase"] == "ramp" else ""
        say(f"{row['at']}  {row['collection']}: {row['was'] or ''} → {row['phase']}{percent}, by {row['by']}")
        if row["reason"]:
            say(f"    reason: {row['reason']}")
        for one in row["against"]:
            say(f"    against it: {one}", "yellow")


def _entry(one: Entry) -> dict[str, Any]:
    told = {"number": one.number, "collection": one.collection, "at": one.at.isoformat(timespec="seconds")}
    told |= {"was": one.was and str(one.was), "phase": str(one.phase), "percent": one.percent}
    return {**told, "by": one.by, "reason": one.reason, "against": list(one.against)}


def _forced(change: Change, against: Sequence[str], *, force: bool, reason: str | None) -> None:
    from syncline.errors import PhaseError

    if force and not (reason and reason.strip()):
        raise PhaseError("--force needs a reason", hint='--reason "why it may be done now"; it is written down')
    if against and not force:
        raise PhaseError(
            f"the step to {change.goal} is held back: {'; '.join(against)}",
            hint="see to that, or --force --reason TEXT",
        )


def _say_missed(change: Change) -> None:
    if change.missed:
        say_aside(f"PostgreSQL's journal does not have it yet: {change.missed}")


def _waited(control: Control, change: Change, *, as_json: bool) -> float:
    said: set[str] = set()

    def told(behind: Sequence[Process]) -> None:
        names = ", ".join(one.name for one in behind)
        if names not in said and not as_json:
            said.add(names)
            say_aside(f"waiting for processes, or the end of their leases: {names}")

    return control.wait(change.number, told)


def _report(change: Change, seconds: float | None, against: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        waited = None if seconds is None else round(seconds, 3)
        print_json({**_change(change), "done": seconds is not None, "waited_seconds": waited, "against": list(against)})
        return
    what = f"{', '.join(change.was)}: {_was(change)} → {change.goal}"
    if seconds is None:
        say(f"would go: {what}")
        for one in against:
            say(f"  against it: {one}", "yellow")
    else:
        say(f"{what}; in effect after {seconds:.1f} s", "bold green")


def _change(change: Change) -> dict[str, Any]:
    goal = change.goal
    told = {"collections": list(change.was), "was": str(next(iter(change.was.values())).phase)}
    return {**told, "phase": str(goal.phase), "percent": goal.percent, "number": goal.number}


def _was(change: Change) -> Standing:
    return next(iter(change.was.values()))


def _evidence(one: Evidence) -> dict[str, Any]:
    return {"collection": one.collection, "name": one.name, "holds": one.holds, "told": one.told}
