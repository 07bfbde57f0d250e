"""``syncline status``."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from syncline.cli.common import ConfigOption, JsonOption, out, print_json, run, settings_from
from syncline.config import Settings
from syncline.insight.status import Status, read_status
from syncline.model.thresholds import Health
from syncline.wiring import opened_target

EXIT = {Health.HEALTHY: 0, Health.DEGRADED: 1, Health.UNHEALTHY: 2}
STYLES = {Health.HEALTHY: "bold green", Health.DEGRADED: "bold yellow", Health.UNHEALTHY: "bold red"}


def status(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    watch: Annotated[float | None, typer.Option("--watch", "-w", help="Look again every so many seconds.")] = None,
) -> None:
    """Show how the synchronisation stands.

    Exit status: 0 healthy, 1 degraded, 2 unhealthy, 3 could not run.
    """
    settings = settings_from(config)
    found = run(_watch(settings, watch, as_json) if watch else _once(settings))
    if not watch:
        print_json(found.as_dict()) if as_json else out.print(_view(found))
    raise typer.Exit(EXIT[found.health])


async def _once(settings: Settings) -> Status:
    async with opened_target(settings) as target:
        return await read_status(settings.source.url, target, source_name=settings.source.name)


async def _watch(settings: Settings, pause: float, as_json: bool) -> Status:
    async with opened_target(settings) as target:
        with Live(console=out, auto_refresh=False, screen=False) as live:
            while True:
                found = await read_status(settings.source.url, target, source_name=settings.source.name)
                print_json(found.as_dict()) if as_json else live.update(_view(found), refresh=True)
                await asyncio.sleep(max(pause, 0.2))


def _view(found: Status) -> Group:
    parts: list[Any] = [Text(found.health.value, STYLES[found.health])]
    for name, state in found.databases.items():
        detail = f"{state.version or ''}, {state.latency_ms} ms" if state.connected else state.error or ""
        parts.append(Text(f"  {name}: {state.word}  {detail}", "" if state.connected else "red"))
    if found.measures:
        m = found.measures
        parts.append(
            Text(
                f"  queue {m.queue_size}, lag {m.lag_seconds:.1f} s, failed {m.failed_events}, "
                f"second deletes {m.deferred_deletes}; lanes {found.lanes['owned']} of {found.lanes['total']} owned"
            )
        )
    parts += [
        Text(f"  {alert.name}: {alert.message}", "red" if alert.severity == "critical" else "yellow")
        for alert in found.alerts
    ]
    return Group(*parts, *_details(found))


def _details(found: Status) -> list[Any]:
    now = datetime.now(UTC)
    parts: list[Any] = []
    if found.workers:
        table = Table("worker", "version", "lanes", "since", "state", "report")
        for w in found.workers:
            report = ", ".join(f"{key} {value}" for key, value in w["report"].items())
            since = f"{(now - w['started_at']).total_seconds():.0f} s"
            table.add_row(Text(w["name"]), w["version"], str(w["lanes"]), since, _alive(w["alive"]), Text(report))
        parts.append(table)
    elif found.measures:
        parts.append(Text("  no worker is running: start one with `syncline worker`", "yellow"))
    for task in found.tasks:
        state = "running" if task["running"] else "waiting"
        parts.append(Text(f"  {task['kind']} of {task['entity']} ({task['reason']}): {state} {task['progress'] or ''}"))
    parts += [Text(f"  {n['at']:%Y-%m-%d %H:%M} {n['name']}: {n['message']}", "dim") for n in found.notices]
    return parts + [
        Text(f"  verified {c['entity']}: {c['verdict']}, {c['records']} records, as of {c['as_of']}")
        for c in found.certificates
    ]


def _alive(alive: bool) -> Text:
    return Text("alive", "green") if alive else Text("gone", "red")
