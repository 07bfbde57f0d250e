"""What the commands of a move share: which database moves, both its ends, and what its home says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from syncline.cli.application import declare_models, keep_secrets, named_databases
from syncline.cli.boundary import err
from syncline.cli.common import keep_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from syncline.config.sections import SharedSections
    from syncline.split.databases import Databases
    from syncline.split.moving.ends import Ends
    from syncline.split.moving.move import Moving
    from syncline.split.schema.planning import Plan

DatabaseArgument = Annotated[
    str, typer.Argument(metavar="[DATABASE]", help="The named database whose tables move to a database of their own.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Do it though something speaks against it; needs --reason.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is written down.")]


@dataclass(frozen=True, slots=True)
class Declared:
    """A move as the configuration says it, begun or not."""

    databases: Databases
    ends: Ends
    sections: SharedSections

    def moving(self) -> Moving | None:
        """Read what was begun."""
        from syncline.split.moving.move import read_moving

        return read_moving(self.ends, self.sections)

    def begun(self) -> Moving:
        """Read what was begun.

        Raises:
            NotMovingError: nothing was.

        """
        from syncline.split.moving.links import not_moving

        found = self.moving()
        if found is None:
            raise not_moving(self.ends.database)
        return found

    def plan(self, source: psycopg.Connection[object], target: psycopg.Connection[object]) -> Plan:
        """Look what the schema needs on the other side."""
        from syncline.split.schema.planning import plan

        settings, today = self.databases.configured.settings, datetime.now(UTC).date()
        ownership = self.databases.routing.ownership
        return plan(source, target, ownership, self.ends.database, settings, today=today)

    def carry_versions(self) -> None:
        """Note on the other side at which revisions of its tree of migrations the tables are."""
        from syncline.split.migrations.carried import carry_versions

        configured = {one.name: one for one in self.databases.configured.databases}
        with self.ends.sides.connected() as (source, target):
            carry_versions(source, target, configured[self.ends.database].version_table)


@contextmanager
def declared(config: Path | None, app: str | None, database: str) -> Iterator[Declared]:
    """Read which move is meant; no message will have a password of either side."""
    from syncline.config.sections import load_sections
    from syncline.split.moving.ends import ends

    with named_databases(config, app) as databases:
        keep_secrets(databases.configured)
        declare_models(databases)
        both = ends(databases.configured, database)
        for side in (both.sides.source, both.sides.target):
            keep_secret(side.conninfo)
        yield Declared(databases, both, load_sections(config))


def say_aside(text: str) -> None:
    """Tell people something on standard error: standard output may be for programs."""
    err.print(Text(text, "yellow"))


def forced(what: str, against: Sequence[str], *, force: bool, reason: str | None) -> bool:
    """Tell whether something is done against what speaks against it.

    Raises:
        SwitchError: something does, and nobody forces it, or no reason is given.

    """
    from syncline.errors import SwitchError

    if force and not (reason and reason.strip()):
        raise SwitchError("--force needs a reason", hint='--reason "why it may be done now"; it is written down')
    if against and not force:
        raise SwitchError(f"{what} is held back: {'; '.join(against)}", hint="see to that, or --force --reason TEXT")
    return bool(against)
