"""The sections of named databases: which there are, how each is connected to, and which tables are whose."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from syncline.config.settings import Seconds, Section

Text = Annotated[str, BeforeValidator(lambda value: value if isinstance(value, list | dict) else str(value))]
"""A value that may be written as a number."""


class Exemption(Section):
    """A tie between databases that is let through until a day, for a reason: `[[split.exempt]]`."""

    finding: str = Field(min_length=1)
    """Its id as `syncline split check` prints it, such as `foreign_key:orders.orders_carrier_fkey`; `*` stands for
    anything."""
    reason: str = Field(min_length=1)
    """Why it may stay."""
    until: date
    """The last day, such as `2027-01-31`; afterwards it is an error again."""


class SplitSettings(Section):
    """Whether the named databases are one database (single mode) or several (split mode)."""

    enabled: bool = False
    """Split mode: each named database has a URL of its own. `SPLIT_DB_MODE` wins."""
    crossings: Literal["refuse", "warn"] = "refuse"
    """What becomes in single mode of a statement or transaction over several databases: `refuse`, an error; `warn`, a
    warning with the application's line, for production until all are gone."""
    warn_sample: float = Field(default=0.01, ge=0, le=1)
    """Share of warnings that are logged again after a statement's first one from a line; the others are counted."""
    exempt: tuple[Exemption, ...] = ()
    """Ties that are let through until a day."""
    everywhere: tuple[str, ...] = ("alembic_version*", "django_migrations")
    """Tables, or patterns, that each database has for itself: a statement on them goes wherever it is sent."""


class DatabaseSettings(Section):
    """A named database of an application that has several: its URL, its pool, its tables.

    Without any such section there are `primary` and `data`. In single mode they all are the one of `DATABASE_URL`: its
    parameters count then, and of the sections only the rules that say whose a table is. The first of these that fits
    decides: `tables`, models declared in code, patterns in `tables`, `schemas`, `rest`.
    """

    url: str = Field(default="", repr=False)
    """URL of the database in split mode. `NAME_DATABASE_URL` wins over a URL written here."""
    direct_url: str = Field(default="", repr=False)
    """URL that leads past a pooler, for migrations, dumps and `LISTEN`. `NAME_DIRECT_URL` wins over it."""
    tables: tuple[str, ...] = ()
    """Tables that live here, `table`, `schema.table`, or a pattern such as `delivery_*`."""
    schemas: tuple[str, ...] = ()
    """Schemas whose tables live here."""
    rest: bool = False
    """Tables that no rule names live here. One database at most has it; without it such a table is an error."""
    models: tuple[str, ...] = ()
    """Its SQLAlchemy models, `module:Base` (or a `MetaData`, model or table), for `syncline db` and
    `syncline split`: rules of whose a table is, as if declared in code."""
    migrations: str = ""
    """Folder of its Alembic tree, seen from this file; by default `migrations-NAME`."""
    version_table: str = ""
    """Table in which that tree notes its revision; by default `alembic_version_NAME`."""
    search_schema: str = Field(default="", validation_alias="schema")
    """Schema of names that are written without one; by default `schema=…` of the URL, else `public`."""
    pool_size: int | None = Field(default=None, ge=1, le=10_000)
    """Connections of a pool at most; by default `connection_limit=…` of the URL, else 10."""
    pool_timeout: Seconds | None = Field(default=None, validation_alias="pool_timeout_seconds")
    """How long to wait for a free connection; by default `pool_timeout=…` of the URL, else 10."""
    connect_timeout: Seconds = Field(default=timedelta(seconds=5), validation_alias="connect_timeout_seconds")
    """How long to wait for a connection to open; `connect_timeout=…` of the URL wins."""
    pgbouncer: bool | None = None
    """There is a pooler in transaction mode in between; by default what `pgbouncer=…` of the URL says."""
    parameters: dict[str, Text] = Field(default_factory=dict)
    """libpq's parameters, such as `sslmode` and `sslrootcert`; they win over those of the URL."""
    settings: dict[str, Text] = Field(default_factory=dict)
    """The server's settings for each session, such as `statement_timeout = "5s"`. Refused with a pooler in between."""
