"""What speaks against a switch at the moment: tables not proved equal, a link that lags, obstacles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from syncline.model.words import listed
from syncline.split.moving.guarded import Guarded, against_guard
from syncline.split.moving.link import MoveLink, Proof
from syncline.split.moving.move import Moving
from syncline.split.moving.watched import Known
from syncline.split.schema.planning import Plan
from syncline.split.schema.things import Phase

LAG = timedelta(seconds=1)
QUEUE = 1000


async def against(one: Moving, link: MoveLink, guarded: Guarded | None) -> list[str]:
    """Say what speaks against a switch now, while home serves; nothing: it may be done."""
    home = one.ends.home
    standing = await link.standing(home)
    found = await link.unfollowed(home)
    if standing.lag_seconds >= LAG.total_seconds():
        found.append(f"the link lags {standing.lag_seconds:.1f} s (less than {LAG.total_seconds():g} is asked)")
    if standing.queue >= QUEUE:
        found.append(f"{standing.queue} changes wait (less than {QUEUE} are asked)")
    found += unproved(await link.proofs(home), f"syncline verify --link {one.ways.there.link.name}")
    return [*found, *against_guard(guarded)]


def schema_against(one: Moving, plan: Plan, known: Iterable[Known]) -> list[str]:
    """Say what of the schema speaks against it: obstacles, and what is not over there."""
    altered = {f"not_empty:{each.definition.table.quoted}" for each in known if not each.stopped}
    found = [each.message for each in plan.obstacles if each.id not in altered]
    if pending := plan.pending(Phase.BEFORE, Phase.AFTER):
        some = listed([f"{step.kind} {step.name}" for step in pending])
        found.append(f"not made over there: {some} (`syncline split schema {one.ends.database} --phase after`)")
    return found


def unproved(proofs: Iterable[Proof], command: str) -> list[str]:
    """Say which tables were not proved equal since they were copied."""
    proofs = list(proofs)
    never = [one.entity for one in proofs if one.verdict is None or not one.current]
    differing = [one.entity for one in proofs if one.current and one.verdict not in (None, "equal")]
    told = {
        "not verified since the copy, a way back or an alteration": never,
        "not equal at the last verification": differing,
    }
    return [f"{what}: {listed(names)} (`{command}`)" for what, names in told.items() if names]
