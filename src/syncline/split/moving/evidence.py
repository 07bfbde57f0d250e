"""What speaks against a switch at the moment: tables not proved equal, a link that lags, obstacles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from syncline.split.moving.link import MoveLink, Proof
from syncline.split.moving.move import Moving

LAG = timedelta(seconds=1)
QUEUE = 1000


async def against(one: Moving, link: MoveLink, side: str) -> list[str]:
    """Say what speaks against ending the writes on a side now; nothing: it may be done."""
    standing = await link.standing(side)
    found = []
    if standing.lag_seconds >= LAG.total_seconds():
        found.append(f"the link lags {standing.lag_seconds:.1f} s (less than {LAG.total_seconds():g} is asked)")
    if standing.queue >= QUEUE:
        found.append(f"{standing.queue} changes wait (less than {QUEUE} are asked)")
    name = one.ways.there.link.name if side == one.ends.home else one.ways.back.link.name
    return [*found, *unproved(await link.proofs(side), f"syncline verify --link {name}")]


def unproved(proofs: Iterable[Proof], command: str) -> list[str]:
    """Say which tables were not proved equal since they were copied."""
    proofs = list(proofs)
    never = [one.entity for one in proofs if one.verdict is None or not one.current]
    differing = [one.entity for one in proofs if one.current and one.verdict not in (None, "equal")]
    found = [f"not verified since the copy: {_some(never)} (`{command}`)"] if never else []
    found += [f"not equal at the last verification: {_some(differing)} (`{command}`)"] if differing else []
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
