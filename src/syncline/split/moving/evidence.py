"""What speaks against a switch at the moment: tables not proved equal, a link that lags, obstacles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from syncline.split.moving.guarded import Guarded, against_guard
from syncline.split.moving.link import MoveLink, Proof
from syncline.split.moving.move import Moving
from syncline.split.moving.watched import Known
from syncline.split.schema.planning import Plan
from syncline.split.schema.things import Phase

LAG = timedelta(seconds=1)
QUEUE = 1000


async def against(one: Moving, link: MoveLink, side: str, guarded: Guarded | None) -> list[str]:
    """Say what speaks against ending the writes on a side now; nothing: it may be done."""
    standing = await link.standing(side)
    found = []
    if standing.lag_seconds >= LAG.total_seconds():
        found.append(f"the link lags {standing.lag_seconds:.1f} s (less than {LAG.total_seconds():g} is asked)")
    if standing.queue >= QUEUE:
        found.append(f"{standing.queue} changes wait (less than {QUEUE} are asked)")
    name = one.ways.there.link.name if side == one.ends.home else one.ways.back.link.name
    found += unproved(await link.proofs(side), f"syncline verify --link {name}")
    return [*found, *against_guard(guarded)]


def schema_against(one: Moving, plan: Plan, known: Iterable[Known]) -> list[str]:
    """Say what of the schema speaks against it: obstacles, what is not over there, tables whose move has stopped."""
    known = list(known)
    altered = {f"not_empty:{each.definition.table.quoted}" for each in known if not each.stopped}
    found = [each.message for each in plan.obstacles if each.id not in altered]
    if pending := plan.pending(Phase.BEFORE, Phase.AFTER):
        some = _some([f"{step.kind} {step.name}" for step in pending])
        found.append(f"not made over there: {some} (`syncline split schema {one.ends.database} --phase after`)")
    for each in known:
        if each.stopped:
            found.append(f"the move of {each.definition.table.quoted} has stopped: {'; '.join(each.stopped)}")
        if each.pending:
            found.append(f"{each.definition.table.quoted} was altered, and is not over there yet")
    return found


def unproved(proofs: Iterable[Proof], command: str) -> list[str]:
    """Say which tables were not proved equal since they were copied."""
    proofs = list(proofs)
    never = [one.entity for one in proofs if one.verdict is None or not one.current]
    differing = [one.entity for one in proofs if one.current and one.verdict not in (None, "equal")]
    found = [f"not verified since the copy, a way back or an alteration: {_some(never)} (`{command}`)"] if never else []
    found += [f"not equal at the last verification: {_some(differing)} (`{command}`)"] if differing else []
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
