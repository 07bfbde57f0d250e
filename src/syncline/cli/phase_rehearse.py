"""``syncline phase rehearse``: the way back, gone on a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, keep_secret, print_json, print_table, run, say
from syncline.cli.split_move import say_aside
from syncline.cli.split_switch import PauseOption, read_pause

if TYPE_CHECKING:
    from syncline.phases.rehearsing import Rehearsal

FAILED = 1
"""Exit status: the rehearsal came to a step that fails."""


def rehearse(
    collection: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COLLECTION]...", help="Which collections; by default all that are declared."),
    ] = None,
    documents: Annotated[int, typer.Option(help="Copy so many documents of each.", min=1)] = 10_000,
    writes: Annotated[int, typer.Option(help="Writes of each collection on each side.", min=1)] = 100,
    pause: PauseOption = "800ms",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play ramp, live and back on a copy, with writes in between; it counts as evidence for live for 7 days.

    Documents are copied into a new database of the same MongoDB, and carried to a new database of the same PostgreSQL;
    there the collections change sides and come back while they are written. After each change both sides must be equal,
    and have every write that was acknowledged. What serves is read, and nothing else. Both databases are dropped at the
    end; those of a rehearsal that was killed, by the next one.

    Exit status: 0 it went through; 1 a step has failed; 3 could not run.
    """
    from syncline.cli.documents.common import documents_from
    from syncline.config.documents import load_documents
    from syncline.errors import RehearsalError
    from syncline.phases.rehearsing import rehearse as play

    declared = (documents_from(config) or load_documents(config)).only(collection)
    for url in declared.urls:
        keep_secret(url)
    invocation.get().resume = "nothing of it is left; or the next rehearsal tidies up"
    tell = (lambda _: None) if as_json else say_aside
    try:
        played = run(play(declared, most=documents, writes=writes, pause=read_pause(pause), tell=tell))
    except RehearsalError as error:
        say_aside(error.message)
        if error.hint:
            say_aside(error.hint)
        raise typer.Exit(FAILED) from None
    _print(played, as_json=as_json)


def _print(played: Rehearsal, *, as_json: bool) -> None:
    from syncline.model.json_names import Named

    told: dict[str, Any] = played.as_dict()
    if as_json:
        named = ("documents", "written", "paused_ms")
        print_json(told | {name: Named(told[name]) for name in named})
        return
    print_table(("step", "seconds"), [(each["step"], f"{each['seconds']:.2f}") for each in told["steps"]])
    for side, count in played.written.items():
        say(f"{count} writes while {side} served")
    for side, paused in played.paused_ms.items():
        say(f"writers were paused for {paused} ms until {side} served")
    total = sum(played.documents.values())
    say(f"{total:,} documents went there and back, and both sides were equal", "bold green")
