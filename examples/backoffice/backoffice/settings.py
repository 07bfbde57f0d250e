"""What can be configured by environment variables, beside the databases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "BACKOFFICE_"


class SettingsError(SystemExit):
    """The environment is not right; ends the program with one line for each mistake."""


class Settings(BaseModel):
    """Each is the variable of its name in capitals, after ``BACKOFFICE_``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_hours: float = Field(default=12, gt=0, le=24 * 90)
    """How long a log-in lasts."""
    body_bytes: int = Field(default=256 * 1024, ge=1024)
    """Largest request body, uploads excepted."""
    upload_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Largest upload."""
    login_attempts: int = Field(default=5, ge=1)
    """For one account from one address, in five minutes."""
    hash_memory_kib: int = Field(default=64 * 1024, ge=8)
    """Memory of one argon2 hash."""
    settle_seconds: float = Field(default=15, gt=0)
    """How often imports that somebody left half done are looked for."""

    write_seconds: float = Field(default=10, gt=0)
    """How long a transaction is tried while the tables of DATA change sides; then 503."""

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the settings, or end with what is wrong."""
        names = {field: PREFIX + field.upper() for field in cls.model_fields}
        try:
            return cls.model_validate({field: env[name] for field, name in names.items() if env.get(name)})
        except ValidationError as error:
            lines = [f"{names[str(one['loc'][0])]}: {one['msg'].lower()}" for one in error.errors()]
            raise SettingsError("\n".join(["backoffice cannot start:", *lines])) from None
