"""What the commands share: their options, the settings, and how things are printed."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from syncline import ending
from syncline.cli.boundary import invocation, json_text, write_out
from syncline.errors import ConfigError, SynclineError
from syncline.model.json_names import camelled
from syncline.model.link import enter

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.insight.checks.finding import Finding
    from syncline.model.entity import Entity

T = TypeVar("T")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration file; by default SYNCLINE_CONFIG, then syncline.toml here."),
]


def _note_json(as_json: bool) -> bool:
    invocation.get().as_json = as_json
    return as_json


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON; an error too, on standard error.", callback=_note_json)
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


MOST = 1e9
"""Of a number with a fraction: thirty years of seconds, so that no sum of times overflows."""


def finite(value: float | None) -> float | None:
    """Refuse infinity and ``nan`` (which is below and above nothing); for options."""
    if value is not None and not abs(value) <= MOST:
        raise typer.BadParameter(f"{value:g} is no number from 0 to {MOST:,.0f}.")
    return value


def _reason(reason: str | None) -> str | None:
    if reason is not None and not reason.strip():
        raise ConfigError("--despite-reverse is empty", hint="say why nothing is lost by it")
    return reason


DespiteOption = Annotated[
    str | None,
    typer.Option(
        "--despite-reverse",
        metavar="REASON",
        help="Do it although the link's way back serves; say why nothing is lost.",
        callback=_reason,
    ),
]
EntityOption = Annotated[str | None, typer.Option("--entity", "-e", help="Only this entity.")]

out = Console(soft_wrap=True, highlight=False)


def keep_secret(url: str) -> None:
    """Keep the passwords of a URL out of every error message of this run."""
    from syncline.config import passwords

    invocation.get().secrets.update(secret for secret in passwords(url) if len(secret) > 2)


def settings_from(config: Path | None) -> Settings:
    """Load the settings of the link that a command is for; from here on it works for that one."""
    from syncline.config import load

    link = invocation.get().link
    settings = (_of_a_move(config, link) if link else None) or load(config, link=link)
    keep_secret(settings.source.url)
    keep_secret(settings.target.url)
    enter(settings.link)
    return settings


def _of_a_move(config: Path | None, link: str) -> Settings | None:
    from syncline.split.moving.links import settings_of_move  # slow to import: only where a link is named

    return settings_of_move(config, link, secret=keep_secret)


def every_link(config: Path | None, *, with_entities: bool = True) -> list[Settings]:
    """Load the settings of every link, or of the one that was named.

    Raises:
        ConfigError: one declares no entity (``with_entities``).

    """
    from syncline.config import load_links

    if invocation.get().link is not None:
        return [configured(config) if with_entities else settings_from(config)]
    found = load_links(config)
    for settings in found:
        keep_secret(settings.source.url)
        keep_secret(settings.target.url)
        if with_entities:
            _require_entities(settings)
    return list(found)


def configured(config: Path | None) -> Settings:
    """Load the settings for a command that must know what is synced.

    Raises:
        ConfigError: no entity is declared.

    """
    settings = settings_from(config)
    _require_entities(settings)
    return settings


def _require_entities(settings: Settings) -> None:
    if not settings.entities:
        where = f"{settings.file} declares no entity" if settings.file else "there is no configuration here"
        raise ConfigError(
            where,
            hint="run it where syncline.toml is, or name it by --config or SYNCLINE_CONFIG; `syncline init` writes one",
        )


def declared(settings: Settings, name: str) -> Entity:
    """Find an entity, or say which there are."""
    entity = settings.entity(name)
    if entity is None:
        names = ", ".join(e.name for e in settings.entities) or "none"
        raise SynclineError(f"there is no entity {name!r}", hint=f"declared: {names}")
    return entity


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end."""
    return ending.run(ending.quiet_when_cancelled(work))


def print_json(value: Any) -> None:
    """Print JSON with names in camelCase; MongoDB's own types in its relaxed extended form."""
    state = invocation.get()
    if state.collected is not None and state.link is not None:
        state.collected[state.link] = value
        return
    text = json_text(camelled(value), sys.stdout, indent=2, default=_extended)
    write_out(text + "\n")


def _extended(value: Any) -> Any:
    from bson import json_util
    from bson.binary import UuidRepresentation

    relaxed = json_util.RELAXED_JSON_OPTIONS.with_options(uuid_representation=UuidRepresentation.STANDARD)
    try:
        return json_util.default(value, relaxed)
    except TypeError:
        return str(value)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print a table; the cells are plain text, whatever they contain. A column in which nothing stands is left out."""
    shown = [place for place in range(len(headings)) if not rows or any(row[place] not in ("", None) for row in rows)]
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    for place in shown:
        table.add_column(headings[place], overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[place]) for place in shown))
    out.print(table)


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    return Text("" if value is None else str(value))


def print_finding(finding: Finding, *, quiet: bool) -> None:
    """Print what a doctor's check found; ``quiet`` leaves out what is well."""
    level = finding.level.name.lower()
    if quiet and level == "ok":
        return
    style = {"ok": "green", "warning": "yellow"}.get(level, "bold red")
    out.print(Text(f"{level:8} ", style), Text(finding.check, "bold"), ": ", sep="", end="")
    say(finding.message)
    if finding.why:
        say(f"         why: {finding.why}", "dim")
    if finding.fix:
        say(f"         fix: {finding.fix}")


def say(text: str, style: str = "") -> None:
    """Print a line of plain text."""
    out.print(Text(text, style))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something cannot be undone; without a terminal only ``--yes`` will do."""
    if not yes:
        if not sys.stdin.isatty():
            raise SynclineError("this needs a confirmation", hint="add --yes")
        typer.confirm(question, abort=True)
