"""What can be configured, all of it by environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from syncline.config import engine_arguments

URLS = {"database_url": "DATABASE_URL", "mongodb_url": "MONGODB_URL", "redis_url": "REDIS_URL"}
PREFIX = "STUDYBUDDY_"


class SettingsError(SystemExit):
    """The environment is not complete; ends the program with one line for each mistake."""


class Settings(BaseModel):
    """Three URLs have names that everybody knows; the rest begins with ``STUDYBUDDY_`` (``STUDYBUDDY_SECRET``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: SecretStr
    """The source of truth: ``postgresql://user:password@host/database``, or ``cockroachdb://…``."""
    mongodb_url: SecretStr
    """MongoDB, kept in step by ``syncline worker``: ``mongodb://host/database``."""
    redis_url: SecretStr | None = None
    """Where several processes share their cache; without it each has its own."""
    secret: SecretStr = Field(min_length=32)
    """Signs the access tokens. 32 random characters or more; the same for all processes."""
    token_hours: float = Field(default=12, gt=0)
    synced_seconds: float = Field(default=0.2, ge=0, le=30)
    """How long a read waits for the caller's own writes to arrive in MongoDB before it asks PostgreSQL."""
    mongodb_seconds: float = Field(default=1, gt=0)
    """How long a read waits for MongoDB."""
    body_bytes: int = Field(default=256 * 1024, ge=1024)
    """Largest request body."""
    login_attempts: int = Field(default=5, ge=1)
    """For one account from one address, in five minutes."""
    hash_memory_kib: int = Field(default=64 * 1024, ge=8)
    """Memory of one argon2 hash."""
    tracing: bool = False
    """Give each request an OpenTelemetry span, and its changes the trace; ``OTEL_…`` variables say where it goes."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings, or end with what is missing."""
        names = {field: URLS.get(field, PREFIX + field.upper()) for field in cls.model_fields}
        try:
            return cls.model_validate({field: env[name] for field, name in names.items() if env.get(name)})
        except ValidationError as error:
            lines = [f"{names[str(one['loc'][0])]}: {one['msg'].lower()}" for one in error.errors()]
            raise SettingsError("\n".join(["studybuddy cannot start:", *lines])) from None

    @property
    def engine(self) -> tuple[str, dict[str, Any]]:
        """The database's URL as SQLAlchemy wants it, and what it says of pools and poolers."""
        return engine_arguments(self.database_url.get_secret_value())


def sqlalchemy_url(url: str) -> str:
    """Name the driver in a database's URL, and leave out what is meant for poolers and other clients."""
    return engine_arguments(url)[0]
