"""First looks at a part of an entity's keys: a job that any process can do, and do again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from syncline.errors import UnlikeWorkerError
from syncline.executing.parts import SUSPECTS
from syncline.ports import Plan, Same, Stretch
from syncline.verify.comparison import Comparison
from syncline.verify.pace import Pace
from syncline.verify.sides import Sides, same_of
from syncline.verify.walk import Walked
from syncline.verify.walking import make_walk

SAMPLE = 3


@dataclass(frozen=True, slots=True)
class Part:
    """What to look at."""

    entity: str
    stretch: Stretch
    both: bool
    """Also whatever the target has between."""
    keys_only: bool
    rate: float | None
    """Records a second at most."""
    patience: timedelta
    """How long a replica may be waited for."""
    same: Same


@dataclass(frozen=True, slots=True)
class PartLooked:
    """What became of it."""

    walked: Walked
    """All of its steps as one. ``left`` is of the part, ``over`` says that nothing of it is left."""
    seconds: float


async def look_at(sides: Sides, plan: Plan, part: Part) -> PartLooked:
    """Look at a part.

    Raises:
        UnlikeWorkerError: this process has another release, source, target or mapping.

    """
    began = time.monotonic()
    require_same(plan.name, part.same, await same_of(sides.source, sides.inspection, plan))
    await sides.source.arrived(part.patience)
    pace = Pace(part.rate)
    walk = make_walk(sides, plan, pace, keys_only=part.keys_only)
    await walk.begin()
    result, left, over = Comparison(), part.stretch, True
    records = documents = 0
    sample: Sequence[str] = ()
    async with aclosing(walk.walk(part.stretch, both=part.both)) as steps:
        async for step in steps:
            result.suspects |= step.result.suspects
            result.extra += step.result.extra
            result.foreign += step.result.foreign
            sample = sample or [key for key in step.sample if key not in result.suspects][:SAMPLE]
            records, documents, left = records + step.records, documents + step.documents, step.left
            if not step.over and len(result.suspects) + len(result.extra) + len(result.foreign) >= SUSPECTS:
                over = False
                break
            await pace.passed(step.records)
    return PartLooked(Walked(result, left, over, records, documents, sample), time.monotonic() - began)


def require_same(name: str, asked: Same, here: Same) -> None:
    """Refuse a job of another release, source, target or mapping.

    Raises:
        UnlikeWorkerError: it is one.

    """
    if here.release != asked.release:
        said = f"it has Syncline {here.release}, the command {asked.release}"
    elif here.guard != asked.guard:
        said = "its configuration leads to another source, or to another installation of Syncline"
    elif here.mapping != asked.mapping:
        said = f"its configuration maps {name} otherwise, or the table was altered just now"
    elif asked.owner and here.owner != asked.owner:
        said = "its configuration leads to another target"
    elif here.renewals < asked.renewals:
        said = "its configuration leads to an older copy of the target, or the target was restored just now"
    else:
        return
    raise UnlikeWorkerError(said, hint="give it the package and the configuration of the command, and start again")
