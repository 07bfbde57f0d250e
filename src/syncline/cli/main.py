"""The ``syncline`` command: its parts, each imported when it is asked for: help and usage errors come at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from syncline.cli.boundary import INTERRUPTED, Boundary, Invocation, invocation
from syncline.version import __version__

SUMMARIES = {
    "init": "Look at a PostgreSQL, CockroachDB or MongoDB database and write a commented syncline.toml for it.",
    "install": "Create Syncline's tables and triggers, or bring them up to date. Running it again does nothing.",
    "uninstall": "Remove triggers, tables and history from the source. The target's documents stay.",
    "worker": "Apply changes until stopped (SIGTERM, Ctrl-C). Run several: they share the work.",
    "adopt": "Take over a target that was another source's copy: everything is written anew, what is foreign removed.",
    "backfill": "Bring in what was there before: mark every record, for the worker to write it.",
    "copy": "Fill the tables of a PostgreSQL target: copied by ranges, as bytes, beside traffic and workers.",
    "resync": "Write every record again and remove every stray document: a full resync, done by the workers.",
    "serve": "Serve the operations page until stopped (SIGTERM, Ctrl-C).",
    "status": "Show how the synchronisation stands.",
    "verify": "Compare both databases, record by record, while they are in use.",
    "repair": "Verify, then mark what diverges, so that the worker writes it again.",
    "explain": "Show everything that is known of one record, on both sides, and what it waits for.",
    "load": "Measure this deployment under load: writes to a scratch table, until MongoDB shows them.",
    "parked": "Records that the target rejects.",
    "notices": "What workers noticed and somebody must know.",
    "doctor": "Look for what goes wrong in practice, and say how to correct it.",
    "db": "The named databases of an application: one in single mode, several in split mode.",
    "backup": "Backups of a named database: taken, listed, verified, restored, and rehearsed.",
    "split": "Split a database in two: find what ties its tables together, and move a part of them.",
    "schema": "The tables of documents: their definitions, and whether a database has them.",
    "phase": "From MongoDB to PostgreSQL by phases: where collections stand, and a step on, or back.",
    "tracing": "Link the request that wrote to the apply that delivered: remember each transaction's trace, or stop.",
    "demo": "Try it all: private databases, live traffic, a worker that is killed, and the proof.",
    "config": "The configuration as it is understood.",
}
"""The commands in their order, with the first paragraph of their help (a test compares)."""


class Commands(MutableMapping[str, Any]):
    """The commands by name; ``syncline.cli.NAME`` is imported when it is looked up.

    The module has a function of its name (and perhaps a CONTEXT, click's settings for it), or an ``app`` of commands.
    """

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Load a command."""
        if name not in SUMMARIES:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Put another command in its place."""
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        """Forget a loaded command."""
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """List the names in the order of the help."""
        return iter(SUMMARIES)

    def __len__(self) -> int:
        """Count them."""
        return len(SUMMARIES)


def _load(name: str) -> Any:
    from syncline.cli.linked import add_link

    module = import_module(f"syncline.cli.{name}")
    part = getattr(module, "app", None)
    if part is None:
        part = typer.Typer(add_completion=False, rich_markup_mode=None)
        options = getattr(module, "CONTEXT", None)
        part.command(name, context_settings=options)(getattr(module, name))
    command = typer.main.get_command(part)
    command.name = name
    add_link(command, name)
    return command


class Root(Boundary):
    """The whole command."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = Commands()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  click's signature
        """List the names without loading anything."""
        return list(self.commands)

    def summary(self, name: str) -> str:
        """Say what a command does without loading it."""
        return SUMMARIES[name]


app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keeps MongoDB in step with PostgreSQL, and proves it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"syncline {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,  # noqa: ARG001
) -> None:
    """Keep MongoDB in step with PostgreSQL, and prove it."""
    invocation.set(Invocation(debug=debug))


def main() -> None:
    """Run the command; the entry point of the package."""
    gc.set_threshold(50_000, 20, 100)  # what is imported stays: to walk it over and over is a tenth of a short command
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal may lack characters, and an argument need not be text
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:  # before or after the command itself, where the boundary does not reach
        sys.exit(INTERRUPTED)


def command() -> Any:
    """Give the whole command as click knows it: for the reference page and for tests."""
    return typer.main.get_command(app)


if __name__ == "__main__":
    main()
