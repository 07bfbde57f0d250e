"""The live view: a picture as something that Rich can print. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from syncline.demo.formatting import duration, number, sparkline
from syncline.demo.picture import Picture, WorkerState, percentile

LABEL, VALUE, NOTE = 15, 24, 26
WIDEST = 110
MOST_EVENTS = 7
OTHER_LINES = 14
"""Height of everything but the entities, the events and the ways in, with a line for the cursor."""
LEAST_EVENTS = 2
CURVE = 140
"""Values that a curve should show: 35 seconds."""
NOTES_FROM = 96
"""Narrower terminals have no room for the notes beside the curves."""
STATES = {
    WorkerState.STARTING: ("starting", "yellow"),
    WorkerState.WORKING: ("working", "green"),
    WorkerState.KILLED: ("killed", "bold red"),
    WorkerState.WAITING: (WorkerState.WAITING.value, "yellow"),
}


def view(
    picture: Picture, engines: tuple[str, str], ways_in: Sequence[tuple[str, str]], width: int, height: int
) -> RenderableType:
    """Draw everything for a terminal of this size."""
    ways = [Text.assemble((name.ljust(LABEL + 2), "dim"), command) for name, command in ways_in]
    below = sum(1 + text.cell_len // width for text in ways)
    inside = min(width, WIDEST) - 4
    room = height - OTHER_LINES - below
    entities = max(1, room - LEAST_EVENTS)
    parts: list[RenderableType] = [
        _clock(picture, engines, inside),
        Text(),
        _meters(picture, inside),
        Text(),
        _entities(picture, inside, entities),
        Text(),
        _worker(picture),
        Rule(style="dim"),
        *_events(picture, min(MOST_EVENTS, max(1, room - min(entities, len(picture.sample.rows))))),
    ]
    panel = Panel(Group(*parts), title="[bold]syncline demo[/]", width=inside + 4, border_style="blue")
    return Group(panel, *ways)  # the ways in have no frame, so that they can be copied


def _clock(picture: Picture, engines: tuple[str, str], width: int) -> Text:
    left = Text.assemble((engines[0], "bold"), (" → ", "dim"), (engines[1], "bold"))
    over = bool(picture.seconds) and picture.elapsed > picture.seconds
    plan = f" of {picture.seconds:.0f} s" if picture.seconds and not over else " s"
    right = f"{max(0.0, picture.elapsed):.1f}{plan}"
    left.append(right.rjust(max(1, width - left.cell_len)), "cyan")
    return left


def _meters(picture: Picture, width: int) -> Table:
    sample, recent = picture.sample, picture.recent()
    p50, p99 = percentile(recent, 50), percentile(recent, 99)
    seen = Text.assemble(("p50 ", "dim"), duration(p50), ("  p99 ", "dim"), duration(p99))
    seen.stylize("bold" if (p99 or 0) < 0.1 else "bold yellow" if (p99 or 0) < 1 else "bold red")
    queue = Text.assemble(number(sample.queue), ("  lag ", "dim"), duration(sample.lag_seconds if sample.queue else 0))
    queue.stylize("bold" if sample.queue < 1000 else "bold yellow" if sample.queue < 10_000 else "bold red")
    rows: list[tuple[str, str | Text, str, str, str]] = [
        ("commits/s", number(picture.commits.per_second), "commits", "green",
         f"{number(picture.commits.total)}, {number(picture.rollbacks)} rolled back"),
        ("applied/s", number(picture.applied.per_second), "applied", "cyan",
         f"{number(picture.applied.total)} records"),
        ("queue", queue, "queue", "yellow", "changes on their way"),
        ("visible after", seen, "visible", "magenta", "from commit to MongoDB"),
    ]  # fmt: skip
    room = width - LABEL - VALUE - (NOTE if width >= NOTES_FROM - 4 else 0)
    table = Table.grid(expand=False)
    table.add_column(width=LABEL, style="dim")
    table.add_column(width=VALUE, no_wrap=True)
    table.add_column(width=room)
    for label, value, curve, style, note in rows:
        text = value if isinstance(value, Text) else Text(value, "bold")
        line = sparkline(
            picture.curves.get(curve, []), room - 2, size=-(-CURVE // room), logarithmic=curve == "visible"
        )
        cells: list[RenderableType] = [label, text, Text(line, style)]
        if width >= NOTES_FROM - 4:
            cells.append(Text(note, "dim", no_wrap=True))
        table.add_row(*cells)
    return table


def _entities(picture: Picture, width: int, most: int) -> Table:
    """Show as many as there is room for, those with the most records."""
    rows, documents = picture.sample.rows, picture.sample.documents
    left_out = max(0, len(rows) - most)
    if left_out:
        largest = sorted(rows, key=lambda name: -rows[name])[: max(1, most - 1)]
        rows = {name: count for name, count in rows.items() if name in largest}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", width=min(width, 70))
    table.add_column("records of", ratio=2)
    for heading in ("PostgreSQL", "MongoDB", "applied/s"):
        table.add_column(heading, justify="right", ratio=1)
    for name, count in rows.items():
        there = documents.get(name, 0)
        rate = picture.applied_by_entity.get(name)
        table.add_row(
            Text(name),
            Text(number(count)),
            Text(number(there), "green" if there == count else "yellow"),
            Text(number(rate.per_second) if rate else "0"),
        )
    if left_out and most > 1:
        table.add_row(Text(f"and {left_out + 1} more", "dim"))
    return table


def _worker(picture: Picture) -> Text:
    word, style = STATES[picture.worker]
    sample = picture.sample
    text = Text.assemble(("worker".ljust(LABEL), "dim"), f"process {picture.worker_pid}  ", (f"● {word}", style))
    if picture.worker is WorkerState.WORKING:
        text.append(f"  {sample.lanes_owned} of {sample.lanes_total} lanes", "")
    text.append(
        "  0 parked" if not sample.failed else f"  {number(sample.failed)} parked", "" if sample.failed else "dim"
    )
    text.no_wrap = True
    return text


def _events(picture: Picture, room: int) -> list[Text]:
    shown = picture.events[-room:]
    lines = [
        Text.assemble((f"{max(0.0, when):5.1f} s  ", "cyan"), (text, "bold" if number == len(shown) - 1 else ""))
        for number, (when, text) in enumerate(shown)
    ]
    for line in lines:
        line.overflow, line.no_wrap = "ellipsis", True
    return lines + [Text() for _ in range(room - len(lines))]


def plain_line(picture: Picture) -> str:
    """Say the same in one line, for logs."""
    recent, sample = picture.recent(), picture.sample
    return (
        f"commits/s {number(picture.commits.per_second)}, "
        f"applied/s {number(picture.applied.per_second)}, queue {number(sample.queue)}, "
        f"lag {duration(sample.lag_seconds if sample.queue else 0)}, visible p50 {duration(percentile(recent, 50))} "
        f"p99 {duration(percentile(recent, 99))}, worker {STATES[picture.worker][0]}"
    )
