"""``syncline phase``: how far each collection has come from MongoDB to PostgreSQL, and a step on, or back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import group
from syncline.cli.common import ConfigOption, JsonOption, finite, keep_secret, print_json, print_table, run, say
from syncline.cli.phase_rehearse import rehearse
from syncline.cli.phase_restored import restored
from syncline.cli.phase_shown import (
    KEPT_OUT,
    entry,
    evidence,
    in_effect,
    planned,
    process,
    reads,
    report,
    shown,
    since,
    was,
)
from syncline.cli.split_move import ForceOption, ReasonOption, say_aside
from syncline.cli.split_switch import STEPS, PauseOption, read_pause

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from syncline.config.documents import Documents
    from syncline.phases.changing import Control
    from syncline.phases.evidence import Evidence
    from syncline.phases.in_mongodb import InMongoDB
    from syncline.phases.in_postgresql import InPostgreSQL
    from syncline.phases.standing import Change, Process
    from syncline.phases.switching.changing import Switched
    from syncline.split.switching.move import Step

app = group("From MongoDB to PostgreSQL by phases: where collections stand, and a step on, or back.")
CollectionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COLLECTION]...", help="Which collections, as a group; by default all that are declared."),
]
PercentOption = Annotated[
    float | None,
    typer.Option("--percent", metavar="P", help="How much of the reads a ramp brings to PostgreSQL.", callback=finite),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
_HELD_BACK = 1


app.command("restored")(restored)
app.command("rehearse")(rehearse)


@dataclass(frozen=True)
class _Opened:
    """Both databases, and the collections that are asked about."""

    mongodb: InMongoDB
    postgresql: InPostgreSQL
    control: Control
    collections: tuple[str, ...]
    documents: Documents

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
        control = Control(mongodb, postgresql, default_phase(os.environ))
        yield _Opened(mongodb, postgresql, control, names, declared)
    finally:
        mongodb.close()
        postgresql.close()


@app.command("status")
def status(collection: CollectionsArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the phase of each collection, who may write it, and which processes go by it. PostgreSQL may be away."""
    with _opened(config, collection) as both:
        standings = both.control.standings(both.collections, only_to_show=True)
        processes, (_, gates) = both.mongodb.processes(), both.mongodb.read_all()
    rows = [shown(name, standing, processes, gates.get(name)) for name, standing in standings.items()]
    if as_json:
        print_json({"collections": rows, "processes": [process(one) for one in processes]})
        return
    table = [
        (row["collection"], row["phase"], reads(row), row["written_in"], since(row), in_effect(row)) for row in rows
    ]
    print_table(["collection", "phase", "reads", "written in", "since", "in effect"], table)
    for row in rows:
        if row["gate"]:
            say_aside(f"{row['collection']}: {KEPT_OUT[row['gate']]}")


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
        print_json({**planned(change), "evidence": [evidence(one) for one in found]})
    else:
        say(f"{', '.join(change.was)}: {was(change)} → {change.goal}", "bold")
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
    pause: PauseOption = "800ms",
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go one phase on, or raise a ramp's percentage, and wait until every process goes by it.

    Held back unless everything that `syncline phase check` looks at holds; --force with a --reason does it all the
    same, and writes that down. A group goes as a whole, from one phase; to `live`, one collection after the other:
    writers of each pause for a moment, and reads never. A running `syncline worker` finishes what is cut off. In
    `complete` MongoDB is closed, and stays as it is: nothing is dropped.

    Exit status: 0 it is done; 3 it is not (held back, or the pause was over: MongoDB serves as before).
    """
    from syncline.phases.completing import complete
    from syncline.phases.phase import Phase

    limit = read_pause(pause)
    with _opened(config, collection) as both:
        change = both.control.forward(both.collections, percent)
        _require_settled(both, change)
        against = [str(one) for one in both.gathered(change) if not one.holds]
        if not (dry_run and not force):
            _forced(change, against, force=force, reason=reason)
        seconds, switched = None, None
        why = reason if against else None
        if not dry_run and change.switches:
            change, seconds, switched = _switched(both, change, limit, why, against, as_json=as_json)
        elif not dry_run and change.goal.phase is Phase.COMPLETE:
            change = run(complete(both.documents, both.control, change, reason=why, against=against))
            seconds = _waited(both.control, change, as_json=as_json)
        elif not dry_run:
            change = both.control.advance(change, reason=why, against=against)
            _say_missed(change)
            seconds = _waited(both.control, change, as_json=as_json)
    report(change, seconds, against, switched, as_json=as_json)


@app.command("back")
def back(
    collection: CollectionsArgument = None,
    percent: PercentOption = None,
    force: Annotated[bool, typer.Option("--force", help="Also from `complete`; needs --reason.")] = False,
    reason: ReasonOption = None,
    pause: PauseOption = "800ms",
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go one phase back, or lower a ramp's percentage, and wait until every process goes by it. It keeps every write.

    Before `live` PostgreSQL need not answer: MongoDB has the truth, and the journal gets the
    change with the next one. From `live` back, writers pause for a moment, and reads never. `complete` is one way:
    --force with a --reason goes back to `live`, and has a worker write every row to MongoDB anew.

    Exit status: 0 it is done; 3 it is not.
    """
    from syncline.phases.completing import reopen
    from syncline.phases.leaving import without_validators
    from syncline.phases.phase import Phase

    limit = read_pause(pause)
    with _opened(config, collection) as both:
        change = both.control.backward(both.collections, percent)
        seconds, switched = None, None
        turns = not change.switches and _turns_back(both, change, percent)
        if turns:
            change = replace(change, becomes=change.was)
        if not dry_run and (turns or change.switches):
            change, seconds, switched = _switched(both, change, limit, reason, (), as_json=as_json)
        elif not dry_run and change.goal.phase is Phase.LIVE:
            _forced(change, ["complete is one way"], force=force, reason=reason)
            change = run(reopen(both.documents, both.control, change, reason=reason))
            seconds = _waited(both.control, change, as_json=as_json)
        elif not dry_run:
            change = both.control.take_back(change, reason=reason)
            _say_missed(change)
            seconds = _waited(both.control, change, as_json=as_json)
            if change.goal.phase is Phase.OFF:  # MongoDB is written as it was before: by whoever may
                without_validators(both.documents, list(change.was))
    report(change, seconds, [], switched, as_json=as_json)


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
    rows = [entry(one) for one in found]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        percent = f" ({reads(row)})" if row["phase"] == "ramp" else ""
        say(f"{row['at']}  {row['collection']}: {row['was'] or ''} → {row['phase']}{percent}, by {row['by']}")
        if row["reason"]:
            say(f"    reason: {row['reason']}")
        for one in row["against"]:
            say(f"    against it: {one}", "yellow")


def _forced(change: Change, against: Sequence[str], *, force: bool, reason: str | None) -> None:
    from syncline.errors import PhaseError

    if force and not (reason and reason.strip()):
        raise PhaseError("--force needs a reason", hint='--reason "why it may be done now"; it is written down')
    if against and not force:
        raise PhaseError(
            f"the step to {change.goal} is held back: {'; '.join(against)}",
            hint="see to that, or --force --reason TEXT",
        )


def _unsettled(both: _Opened, change: Change) -> list[str]:
    from syncline.phases.switching.watching import unsettled

    return run(unsettled(both.documents, list(change.was)))


def _require_settled(both: _Opened, change: Change) -> None:
    """See that nobody has left a collection half-way between the sides; a change of sides goes on from there."""
    from syncline.errors import PhaseError

    if not change.switches and (left := _unsettled(both, change)):
        raise PhaseError(
            f"{', '.join(left)}: changing sides",
            hint="a running `syncline worker` finishes that; `syncline phase back` has the side before serve again",
        )


def _turns_back(both: _Opened, change: Change, percent: float | None) -> bool:
    """Tell whether there is a step to live to be taken back, before any from the phase that it began in."""
    from syncline.phases.phase import Phase

    if {one.phase for one in change.was.values()} != {Phase.RAMP} or percent is not None:
        _require_settled(both, change)
        return False
    return bool(_unsettled(both, change))


def _switched(
    both: _Opened, change: Change, pause: timedelta, reason: str | None, against: Sequence[str], *, as_json: bool
) -> tuple[Change, float, Sequence[Switched]]:
    """Have the truth change sides; give the change as it was made, and how long it took."""
    import time

    from syncline.cli.split_switch import waiting_for
    from syncline.phases.switching.changing import change_sides
    from syncline.phases.switching.gates_in_mongodb import Wish

    goal, other = ("PostgreSQL", "MongoDB") if change.goal.phase.postgresql_is_truth else ("MongoDB", "PostgreSQL")

    def told(collection: str, step: Step) -> None:
        if not as_json:
            say(f"{collection}: {STEPS[step].format(goal=goal, other=other)}")

    began = time.monotonic()
    done = run(
        change_sides(
            both.documents,
            change,
            Wish(reason, tuple(against)),
            pause=pause,
            told=told,
            waits=waiting_for(as_json=as_json),
        )
    )
    seconds = time.monotonic() - began
    return replace(change, becomes=both.control.standings(list(change.was))), seconds, done


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
