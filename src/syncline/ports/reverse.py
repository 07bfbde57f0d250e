"""The way back of a link, as its target shows it: does it serve, so that the truth may be on the other side?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from syncline.errors import ReverseServesError
from syncline.model.entity import Entity

DESPITE = "despite_reverse"
"""The option of a task that runs although the way back serves: an operator's reason."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Why the target's table may have what the source lacks."""

    table: str
    link: str | None
    """The link that carries what is written there back; ``None``: a gate says that applications write there."""
    gate: str = ""

    def refusal(self, entity: str, what: str) -> ReverseServesError:
        """Make the error that refuses some work."""
        if self.link is None:
            return ReverseServesError(
                f"{entity}: {what} is refused: the gate {self.gate} of {self.table} in the target admits no link, the "
                "truth is on that side",
                hint="run it when this link's source serves again, or on the link that goes the other way",
            )
        name = f"the link {self.link}" if self.link else "the link without a name"
        option = f" --link {self.link}" if self.link else ""
        return ReverseServesError(
            f"{entity}: {what} is refused while {name} serves: it brings back what is written to {self.table} in the "
            "target, and what it has not brought yet would be written over or deleted",
            hint=f"stop what writes there, wait until `syncline status{option}` says that nothing waits, and say why "
            "it is right: --despite-reverse REASON (with --where or --keys for records that only this side writes)",
        )


class Reverse(Protocol):
    """Asks the target about the way back of its link."""

    async def serving(self, entity: Entity, *, fresh: bool = True) -> Serving | None:
        """Tell whether the way back serves an entity; ``None``: what the target has, the source has, too.

        Args:
            entity: whose records.
            fresh: ask now; otherwise what was seen within the last second will do.

        Raises:
            TargetUnavailableError: the target does not answer.

        """
        ...


async def require_right_side(
    reverse: Reverse | None, entities: Sequence[Entity], what: str, *, despite: str | None = None, fresh: bool = True
) -> list[Serving]:
    """Refuse work that makes the target what the source is while the way back serves; return what a reason allowed.

    Args:
        reverse: the target's.
        entities: whose records the work is about.
        what: the work, for the message.
        despite: an operator's reason to do it all the same; a gate heeds none.
        fresh: as of ``Reverse.serving``.

    Raises:
        ReverseServesError: it serves one of them.
        TargetUnavailableError: the target does not answer.

    """
    if reverse is None:
        return []
    allowed = []
    for entity in entities:
        found = await reverse.serving(entity, fresh=fresh)
        if found is None:
            continue
        if found.link is None or not despite:
            raise found.refusal(entity.name, what)
        allowed.append(found)
    return allowed
