"""``syncline phase restored``: one of both databases was restored from a backup."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, YesOption, confirm, print_json, run, say

if TYPE_CHECKING:
    from syncline.phases.restored import Restored


class Side(StrEnum):
    """Which one."""

    MONGODB = "mongodb"
    POSTGRESQL = "postgresql"


def restored(
    side: Annotated[Side, typer.Argument(help="Which one was restored.")],
    config: ConfigOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that one of both databases was restored from a backup: what the other one has of it is brought again.

    Workers notice a restore, and end with an error until this has been said. Every document is marked and written anew,
    under a number that the link never had; rows of which there is no document are deleted. The phases stand as the
    database says them that was not restored. In ``complete`` nothing is written: no side follows the other one.
    """
    from syncline.cli.documents.common import documents_from
    from syncline.config.documents import load_documents
    from syncline.phases.restored import begin_anew

    declared = documents_from(config) or load_documents(config)
    invocation.get().resume = "`syncline phase restored` may be called again"
    confirm(f"Begin anew after a restore of {side}? What the truth has is written to the other side.", yes=yes)
    _report(run(begin_anew(declared)), side, as_json=as_json)


def _report(done: Restored, side: Side, *, as_json: bool) -> None:
    if as_json:
        told = {"restored": side.value, "marked": done.marked, "forward": list(done.forward)}
        print_json(told | {"back": list(done.back)})
        return
    if done.forward:
        say(f"{done.marked} documents of {', '.join(done.forward)} are marked; a worker writes them anew", "green")
    if done.back:
        say(f"the rows of {', '.join(done.back)} are marked; a worker writes them back to MongoDB anew", "green")
