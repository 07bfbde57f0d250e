"""The settings, section by section: names, defaults, what they mean. The reference page is built from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from syncline.config.secrets import redact
from syncline.config.urls import is_postgresql
from syncline.model.entity import Entity
from syncline.model.link import UNNAMED, Link

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 36500 * 86400
"""Seconds: databases cannot count back much further, and a worker that asks them to would end with each look."""


def duration(value: object) -> timedelta | None:
    """Read ``7d``, ``12h``, ``30m``, ``45s``; ``off`` is ``None``."""
    if isinstance(value, timedelta) or value is None:
        return value
    text = str(value).strip().lower()
    if text == "off":
        return None
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text):
        seconds = float(match[1]) * _UNITS[match[2]]
        if seconds > _LONGEST:
            raise ValueError("a duration has 36500d (100 years) at most")
        return timedelta(seconds=seconds)
    raise ValueError("a duration is a number with a unit (s, m, h, d, w), such as 7d, or off")


def _identifier(value: str) -> str:
    if not 0 < len(value.encode()) < 64 or "\0" in value:
        raise ValueError("a name in PostgreSQL has 1 to 63 bytes")
    return value


def _schema_for_view(value: str) -> str:
    if value == "syncline":
        raise ValueError('the schema syncline has it anyway, as syncline.changes: say "off", or another schema')
    return _identifier(value)


def _seconds(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        number = float(str(value))
    except ValueError:
        raise ValueError("a number of seconds is expected") from None
    if isinstance(value, bool) or not 0 < number <= 86400 * 365:
        raise ValueError("a number of seconds above 0 is expected")
    return timedelta(seconds=number)


Seconds = Annotated[timedelta, BeforeValidator(_seconds)]
Duration = Annotated[timedelta | None, BeforeValidator(duration)]


class Section(BaseModel):
    """A table of the file. Frozen; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)


class SourceSettings(Section):
    """Where the truth is: the PostgreSQL database whose changes are followed."""

    url: str = Field(repr=False)
    """URL of the database, `postgresql://user:password@host/database`; `cockroachdb://…` means the same.

    `DATABASE_URL` wins over a URL written here.
    """
    direct_url: str = Field(default="", repr=False)
    """URL by which Syncline itself connects, past a pooler; `url` is then left to the application.

    `SYNCLINE_DIRECT_URL` wins over a URL written here.
    """
    replica_url: str = Field(default="", repr=False)
    """URL of a standby that takes load off the primary: verification reads it first, backfills find their ranges there.

    States that go to the target and second looks always come from the primary. PostgreSQL only.
    """
    capture: Literal["triggers", "session"] = "triggers"
    """How changes are captured: `triggers` see every write, raw SQL too; `session` sees what SQLAlchemy writes."""
    wake: bool = True
    """Wake the worker at commit. Off: writers notify nobody, and workers listen to nobody: they look every
    `poll_seconds`. Behind a pooler in transaction mode workers poll whatever this says."""
    reinstall: bool = False
    """Workers put capture back by themselves when a schema change has ended it, as `syncline install` would.

    Triggers that were dropped or are off, a table made again, another key. Their role must then own the tables.
    """
    event_triggers: bool = False
    """An event trigger says in the very transaction of a schema change that it has ended capture.

    Workers see it within seconds without; PostgreSQL lets only superusers install one.
    """
    search_path: tuple[str, ...] = ()
    """Schemas in which the SQL of `where` and of computed fields finds names (operators of extensions, too).

    By default the path of the role that installs first; it is recorded, and holds for every worker and command.
    """
    name: str = "postgresql"
    """How `syncline status` and the health routes call it; `_source` of documents is `postgresql` or `cockroachdb`."""
    view_schema: Annotated[str, AfterValidator(_schema_for_view)] = "public"
    """Where `install` puts the view of every change, for people's questions; `off`: only `syncline.changes` has it.

    Tools that compare a schema with their own idea of it may drop it from `public`: see "Schema tools".
    """
    view_name: Annotated[str, AfterValidator(_identifier)] = "Outbox"
    """How that view is called."""
    connect_timeout: Seconds = Field(default=timedelta(seconds=5), validation_alias="connect_timeout_seconds")
    """How long to wait for a connection."""

    _link: Link = PrivateAttr(default=UNNAMED)

    @property
    def link(self) -> Link:
        """Whose source it is: our tables are in the link's schema there."""
        return self._link

    def of_link(self, link: Link) -> Self:
        """Give the source of a link."""
        source = self.model_copy()
        source._link = link  # noqa: SLF001  it is its own
        return source


def _schema_for_control(value: str) -> str:
    if value == "syncline" or value.startswith("pg_"):
        raise ValueError(f"{value} is somebody else's schema: name another one")
    return _identifier(value)


class TargetSettings(Section):
    """What is kept equal to it: a MongoDB database, or another PostgreSQL one."""

    url: str = Field(repr=False)
    """URL of the server, `mongodb://user:password@host/database` or `postgresql://user:password@host/database`.

    `MONGODB_URL` wins over a MongoDB's URL written here.
    """
    database: str = ""
    """The database; by default the one that the URL names. (Of a PostgreSQL the URL names it.)"""
    control_collection: str = "_syncline"
    """MongoDB: collection for our own records: lanes, and whose copy this is."""
    control_schema: Annotated[str, AfterValidator(_schema_for_control)] = "syncline_target"
    """PostgreSQL: schema for our own tables: lanes, and whose copy this is. Sources of one target have one each."""
    name: str = ""
    """How `syncline status` and the health routes call it; by default `mongodb`, or `target` for a PostgreSQL."""
    connect_timeout: Seconds = Field(default=timedelta(seconds=5), validation_alias="connect_timeout_seconds")
    """How long to look for a server that accepts writes."""
    timeout: Seconds = Field(default=timedelta(seconds=10), validation_alias="timeout_seconds")
    """Limit for one command, on the server too."""

    @property
    def in_postgresql(self) -> bool:
        """Records become rows of tables, not documents of collections."""
        return is_postgresql(self.url)

    @property
    def called(self) -> str:
        """How reports call it."""
        return self.name or ("target" if self.in_postgresql else "mongodb")


class WorkerSettings(Section):
    """How the work is done. The defaults suit most; several workers share the lanes by themselves."""

    name: str = ""
    """How this worker calls itself in `syncline status`; by default host and process."""
    batch_size: int | None = Field(default=None, ge=1, le=100_000)
    """Fixes the number of records in a batch. By default it adapts between the two below."""
    batch_min: int = Field(default=100, ge=1, le=100_000)
    """Smallest batch to aim for."""
    batch_max: int = Field(default=5000, ge=1, le=100_000)
    """Largest batch."""
    writers: int = Field(default=2, ge=1, le=32)
    """Batches that are written at the same time."""
    bytes_in_flight: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    """Bound on the memory that documents may take between reading and writing, in bytes."""
    lease: Seconds = Field(default=timedelta(seconds=3), validation_alias="lease_seconds")
    """A worker that is silent for so long loses its lanes to the others."""
    renew: Seconds = Field(default=timedelta(seconds=1), validation_alias="renew_seconds")
    """How often a worker says that it lives."""
    grace: Seconds = Field(default=timedelta(seconds=30), validation_alias="grace_seconds")
    """A delete is done a second time after so long, in case an older write was still on its way."""
    max_batch_age: Seconds = Field(default=timedelta(seconds=10), validation_alias="max_batch_age_seconds")
    """A batch that is older than this when it is about to be sent is dropped and read again."""
    poll: Seconds = Field(default=timedelta(seconds=2), validation_alias="poll_seconds")
    """Longest pause between two looks at an empty outbox."""

    @property
    def batch_range(self) -> tuple[int, int]:
        """Smallest and largest batch; equal when the size is fixed."""
        return (self.batch_size, self.batch_size) if self.batch_size else (self.batch_min, self.batch_max)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch_min > self.batch_max:
            raise ValueError(f"batch_min ({self.batch_min}) is above batch_max ({self.batch_max}); lower the first")
        if self.renew * 2 > self.lease:
            raise ValueError("lease_seconds must be at least twice renew_seconds, or a late renewal loses the lanes")
        return self


class MappingSettings(Section):
    """What holds for every entity that does not say otherwise."""

    new_columns: Literal["sync", "ignore", "stop"] = "sync"
    """What becomes of columns that are added later: `sync` takes them along, `ignore` leaves them out, `stop` waits.

    A notice names them, whatever the setting.
    """
    dates: Literal["nearest", "text", "exact"] = "nearest"
    """What `infinity` and years outside of 1 to 9999 become, which many drivers cannot read as dates.

    `nearest`: the nearest day or millisecond of those years. `text`: a string. `exact`: a date all the same.
    """


class HistorySettings(Section):
    """What is remembered of applied changes."""

    keep: Duration = timedelta(days=7)
    """How long, such as `7d` or `12h`; `off` keeps nothing and is the fastest."""
    documents: bool = False
    """Keep the applied document with each entry, as the payload of the view `syncline.changes`."""


class VerifySettings(Section):
    """How workers verify by themselves."""

    continuously: bool = False
    """Verify every entity again and again, one worker at a time; so does `syncline worker --verify continuously`."""
    period: Duration = timedelta(days=1)
    """How often each entity is verified, such as `24h`. Passes are spread over this time."""
    rate: int = Field(default=2000, ge=10, le=1_000_000)
    """Records a second that are compared at most; what does not fit into the period takes longer."""

    @field_validator("period")
    @classmethod
    def _some_period(cls, period: timedelta | None) -> timedelta:
        if period is None or not period:
            raise ValueError("a duration above 0 is expected; `continuously = false` turns it off")
        return period


class LogSettings(Section):
    """What the worker writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug` has a line per record."""
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured, checked."""

    source: SourceSettings
    target: TargetSettings
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    mapping: MappingSettings = field(default_factory=MappingSettings)
    log: LogSettings = field(default_factory=LogSettings)
    verify: VerifySettings = field(default_factory=VerifySettings)
    entities: tuple[Entity, ...] = ()
    file: Path | None = None
    """Where it was read from."""
    pattern: str | None = None
    """The pattern of links that it is of, as the file names it."""

    @property
    def link(self) -> Link:
        """Which link this is."""
        return self.source.link

    def entity(self, name: str) -> Entity | None:
        """Find a declared entity by its name."""
        return next((entity for entity in self.entities if entity.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """List the settings as the file spells them, with secrets masked; entities by name."""
        sections: dict[str, Any] = {}
        for name in ("source", "target", "worker", "history", "mapping", "verify", "log"):
            sections[name] = as_spelt(getattr(self, name))
        for side in ("source", "target"):
            sections[side]["url"] = redact(sections[side]["url"])
        sections["source"]["direct_url"] = redact(sections["source"]["direct_url"])
        sections["source"]["replica_url"] = redact(sections["source"]["replica_url"])
        return {**sections, "entities": [entity.name for entity in self.entities]}


def as_spelt(section: Section) -> dict[str, Any]:
    """List a section's settings as the file spells them."""
    fields = type(section).model_fields
    spelt = {key: str(info.validation_alias or key) for key, info in fields.items()}
    return {named: _plain(getattr(section, key), named) for key, named in spelt.items()}


def _plain(value: object, name: str) -> object:
    if value is None and name in {"keep", "period"}:
        return "off"
    if not isinstance(value, timedelta):
        return value
    seconds = value.total_seconds()
    if name.endswith("_seconds"):
        return int(seconds) if seconds.is_integer() else seconds
    return f"{seconds / 86400:g}d" if seconds % 86400 == 0 else f"{seconds:g}s"
