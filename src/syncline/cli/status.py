"""``syncline status``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from syncline.cli.backfilling import share
from syncline.cli.common import ConfigOption, JsonOption, finite, out, print_json, run, settings_from
from syncline.cli.documents.common import documents_from
from syncline.model.thresholds import Health

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.config.documents import Documents
    from syncline.insight.status import Status
    from syncline.ports import Target

EXIT = {Health.HEALTHY: 0, Health.DEGRADED: 1, Health.UNHEALTHY: 2}
STYLES = {Health.HEALTHY: "bold green", Health.DEGRADED: "bold yellow", Health.UNHEALTHY: "bold red"}


def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[
        float | None, typer.Option("--watch", "-w", help="Look again every so many seconds.", callback=finite)
    ] = None,
) -> None:
    """Show how the synchronisation stands.

    Exit status: 0 healthy, 1 degraded, 2 unhealthy, 3 could not run.
    """
    if documents := documents_from(config):
        raise typer.Exit(EXIT[status_of_documents(documents, watch=watch, as_json=as_json)])
    settings = settings_from(config)
    found = run(_watch(settings, watch, as_json) if watch else _once(settings))
    if not watch:
        print_json(found.as_dict()) if as_json else out.print(view(found), soft_wrap=False)
    raise typer.Exit(EXIT[found.health])


def status_of_documents(documents: Documents, *, watch: float | None, as_json: bool) -> Health:
    """Show how a link of documents stands, once or again and again."""
    from syncline.cli.documents.status import look

    return run(look(documents, watch=watch, as_json=as_json, view=view))


async def _once(settings: Settings) -> Status:
    from syncline.wiring.sides import opened_target

    async with opened_target(settings) as target:
        return await _look(settings, target)


async def _watch(settings: Settings, pause: float, as_json: bool) -> Status:
    from syncline.wiring.sides import opened_target

    async with opened_target(settings) as target:
        with Live(console=out, auto_refresh=False, screen=False) as live:
            while True:
                found = await _look(settings, target)
                print_json(found.as_dict()) if as_json else live.update(view(found), refresh=True)
                await asyncio.sleep(max(pause, 0.2))


async def _look(settings: Settings, target: Target) -> Status:
    from syncline.insight.status import read_status

    return await read_status(
        settings.source.url, target, source_name=settings.source.name, target_name=settings.target.called
    )


def view(found: Status) -> Group:
    """Show a status to people."""
    return Group(
        Text(found.health.value, STYLES[found.health]),
        *(Padding(part, (0, 0, 0, 2), expand=False) for part in _parts(found)),
    )


def _parts(found: Status) -> Iterator[Text]:
    """Say everything in lines that begin with what they are about; long ones are wrapped to the terminal."""
    width = max(map(len, found.databases))
    for name, state in found.databases.items():
        detail = f"{state.version or ''}, {state.latency_ms} ms" if state.connected else state.error or ""
        yield Text(f"{name:{width}}  {state.word}  {detail}", "" if state.connected else "red")
    if found.measures:
        m = found.measures
        yield Text(
            f"queue {m.queue_size:,}, lag {m.lag_seconds:.1f} s, failed {m.failed_events:,}, "
            f"second deletes {m.deferred_deletes:,}"
            + (f", until their tables are copied {m.held_by_copy:,}" if m.held_by_copy else "")
        )
    if found.measures and found.lanes:
        yield Text(f"lanes {found.lanes['owned']} of {found.lanes['total']} owned")
    for alert in found.alerts:
        yield Text(f"{alert.name}: {alert.message}", "red" if alert.severity == "critical" else "yellow")
    yield from _work(found, datetime.now(UTC))
    for notice in found.notices:
        ended = notice["resolved"] and notice["severity"] != "info"  # information is closed from the beginning
        name = f"{notice['name']} (resolved)" if ended else notice["name"]
        yield Text(f"notice {notice['at']:%Y-%m-%d %H:%M} {name}: {notice['message']}", "dim")


def _work(found: Status, now: datetime) -> Iterator[Text]:
    """Say who works, at what, and what was proved."""
    for worker in found.workers:
        age, report = _for(now - worker["started_at"]), worker["report"]
        rate = f"{report.get('rate', 0) if worker['alive'] else 0:,} marks/s"
        name = f"worker {worker['name'].removeprefix('worker ')}"
        lanes = f"{worker['lanes']} lanes, " if found.lanes else ""
        line = f"{name}: {worker['version']}, {lanes}{rate}, "
        yield Text.assemble(line, (f"alive for {age}", "green") if worker["alive"] else ("gone", "red"))
        if report.get("target_error"):
            yield Text(f"{name}: {report['target_error']}", "red")
        if worker["alive"] and report.get("waits_at_gate"):
            where = f"waiting at the gate of the move {report['waits_at_gate']}"
            yield Text(f"{name}: {where}: it lets in links while the other side serves", "yellow")
    unattended = any(alert.name == "NoWorker" for alert in found.alerts)
    if found.measures and not found.workers and not unattended:
        yield Text("no worker is running: start one with `syncline worker`", "yellow")
    for task in found.tasks:
        state = "running" if task["running"] else "waiting"
        progress = f", {share(task['progress'])}" if "done" in task["progress"] else ""
        yield Text(f"{task['kind']} of {task['entity']} ({task['reason']}): {state}{progress}")
    for one in found.verifying:
        state = "running" if one["running"] else "interrupted"
        yield Text(f"verification of {one['entity']} ({one['origin']}): {state}, {one['records']:,} records compared")
    for proof in found.certificates:
        age = _for(now - proof["as_of"])
        kinds = "".join(f", {count:,} {kind}" for kind, count in (proof["divergent"] or {}).items())
        yield Text(
            f"verified {proof['entity']}: {proof['verdict']}, {proof['records']:,} records{kinds}, "
            f"as of {proof['as_of']:%Y-%m-%d %H:%M:%S} ({age} ago)"
        )


def _for(age: timedelta) -> str:
    """Say an age in one unit."""
    seconds = max(age.total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
