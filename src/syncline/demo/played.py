"""What the demos of applications in use share: what is said is kept for a picture, and what people did is judged."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from rich.console import Console
from rich.text import Text

from syncline.demo import record as pictures
from syncline.demo.run import interruptible
from syncline.demo.split_stage import Stage
from syncline.demo.split_traffic import Counts, Traffic


def played(
    name: str, title: str, play: Callable[[Callable[..., None]], int], console: Console, file: Path | None
) -> int:
    """Play a demo, and give its exit status.

    Args:
        name: what it is called on the command line.
        title: of the picture.
        play: is given what tells people something.
        console: where it is told.
        file: write a picture of that there (SVG).

    """
    lines: list[tuple[str, str]] = []

    def tell(text: str, style: str = "") -> None:
        lines.append((text, style))
        console.print(text, style=style, markup=False)

    with interruptible():
        code = play(tell)
    if file is not None:
        pictures.save(file, Text(title, "bold"), lines, title=f"make demo ARGS={name}")
    return code


def go_on(stage: Stage, traffic: Traffic, what: str, *, more: int = 5) -> None:
    """Wait until people have written something more."""
    before = len(traffic.counts.acknowledged)
    stage.until(lambda: len(traffic.counts.acknowledged) > before + more, what)


def judged(stage: Stage, counts: Counts, there: Collection[str], what: str) -> int:
    """Say what has become of requests and of what was acknowledged; 0: nothing failed, and all of it is there."""
    lost = [one for one in counts.acknowledged if one not in there]
    for failure in counts.failures[:5]:
        stage.note(failure, "red")
    well = not counts.failures and not lost
    again = f", {counts.again} of unknown outcome sent again" if counts.again else ""
    found = f"{counts.requests:,} requests, {len(counts.failures)} failed{again}"
    kept = f"{len(counts.acknowledged):,} {what} acknowledged, {len(lost)} lost"
    stage.note(f"{found}; {kept}", "bold green" if well else "bold red")
    return 0 if well else 1
