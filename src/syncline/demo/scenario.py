"""What the demo runs: a schema, its traffic, and the processes beside the worker.

Without a choice it is a small schema of the demo's own. ``Application`` runs a real one as its ``demo.toml`` says.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from syncline.embedded.paths import LOOPBACK
from syncline.errors import ConfigError
from syncline.postgres.connection import connect, translated
from syncline.postgres.sql import blocks

MIGRATION_SECONDS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A process that answers on a port of this machine."""

    name: str
    arguments: Sequence[str]
    """After ``python -m``."""
    port: int
    show: str = "/"
    """The path that people open."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a scenario has made ready."""

    config: Path
    traffic: Sequence[str]
    """After ``python -m``; the demo adds ``--seconds``, ``--pause``, ``--burst-at``, ``--burst-rows``."""
    environment: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[Service] = ()


class Scenario(Protocol):
    """Something to run."""

    title: str
    what: str
    """What is created, in a few words."""
    who: str
    """Whose traffic it is."""
    burst_rows: int

    async def prepare(self, folder: Path, postgres_url: str, mongo_url: str) -> Prepared:
        """Create the schema and say what runs on it."""
        ...

    async def seed(self, postgres_url: str) -> None:
        """Fill it, after the installation: what is there already is captured too."""
        ...


class BuiltIn:
    """Users, todos with steps, messages; the traffic speaks SQL."""

    title = "demo"
    what = "users, todos with steps, messages"
    who = "four connections"
    burst_rows = 20_000

    async def prepare(self, folder: Path, postgres_url: str, mongo_url: str) -> Prepared:
        """Create the schema."""
        config = folder / "syncline.toml"
        template = files("syncline.demo").joinpath("demo.toml").read_text("utf-8")
        config.write_text(template.replace("{postgres}", postgres_url).replace("{mongo}", mongo_url), "utf-8")
        await self._execute(postgres_url, "schema")
        return Prepared(config, ["syncline.demo.traffic", "--postgres", postgres_url, "--mongo", mongo_url])

    async def seed(self, postgres_url: str) -> None:
        """Write what is there before the traffic begins."""
        await self._execute(postgres_url, "seed")

    async def _execute(self, url: str, statement: str) -> None:
        async with await connect(url, application="syncline demo") as connection:
            with translated():
                await connection.execute(blocks("demo.sql", "syncline.demo")[statement].encode())


class _Service(BaseModel):
    model_config = ConfigDict(extra="forbid")

    arguments: list[str]
    show: str = "/"
    """Path to tell; it may have what people need to get in."""


class _Script(BaseModel):
    """A ``demo.toml``."""

    model_config = ConfigDict(extra="forbid")

    title: str
    what: str
    who: str
    config: str = "syncline.toml"
    migrate: list[str]
    traffic: list[str]
    burst_rows: int = Field(default=5000, ge=100)
    environment: dict[str, str] = Field(default_factory=dict)
    services: dict[str, _Service] = Field(default_factory=dict)


class Application:
    """An application in a folder of its own, with a ``demo.toml`` that says how to run it.

    Placeholders there: ``{app}`` (the folder), ``{config}``, ``{postgres}``, ``{mongo}``, ``{secret}`` (the same within
    a run), ``{port}`` (of the service), and ``{NAME}``: the address of the service of that name.
    """

    def __init__(self, folder: Path) -> None:
        """Read the script.

        Raises:
            ConfigError: there is none, or it is not understood.

        """
        self._app = folder.resolve()
        file = folder / "demo.toml"
        try:
            self._script = _Script.model_validate(tomllib.loads(file.read_text("utf-8")))
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}", hint="--app wants a folder with a demo.toml") from None
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise ConfigError(f"{file}: {error}") from None
        self.title, self.what, self.who = self._script.title, self._script.what, self._script.who
        self.burst_rows = self._script.burst_rows

    async def prepare(self, folder: Path, postgres_url: str, mongo_url: str) -> Prepared:  # noqa: ARG002
        """Migrate.

        Raises:
            ConfigError: the migration fails.

        """
        script = self._script
        config = self._app / script.config
        ports = _free_ports(len(script.services))
        known = {"app": str(self._app), "config": str(config), "postgres": postgres_url, "mongo": mongo_url}
        known |= {"secret": secrets.token_hex(16)}
        known |= {name: f"http://{LOOPBACK}:{port}" for name, port in zip(script.services, ports, strict=True)}
        environment = {name: _filled(value, known) for name, value in script.environment.items()}
        environment |= {"DATABASE_URL": postgres_url, "MONGODB_URL": mongo_url, "PYTHONPATH": str(self._app)}
        await asyncio.to_thread(self._migrate, environment)
        services = [
            Service(
                name,
                [_filled(one, known | {"port": str(port)}) for one in service.arguments],
                port,
                _filled(service.show, known),
            )
            for (name, service), port in zip(script.services.items(), ports, strict=True)
        ]
        return Prepared(config, [_filled(one, known) for one in script.traffic], environment, services)

    async def seed(self, postgres_url: str) -> None:
        """Leave that to the traffic."""

    def _migrate(self, environment: Mapping[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *self._script.migrate],
            cwd=self._app,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=MIGRATION_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ConfigError(f"the migration of {self.title} failed", hint=done.stderr.strip()[-1000:])


def _filled(text: str, known: Mapping[str, Any]) -> str:
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on; all of them are held until the last one is found."""
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
