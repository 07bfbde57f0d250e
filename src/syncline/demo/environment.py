"""The demo's private environment: a folder with two database servers and a configuration, gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from syncline.capture.postgres.install import install, options_of, plan
from syncline.config import Settings, load
from syncline.config.urls import with_database
from syncline.demo.scenario import Prepared, Scenario
from syncline.embedded import PrivateMongo, PrivatePostgres
from syncline.postgres.connection import connect

DATABASE = "demo"
POSTGRES_SETTINGS: dict[str, str | int] = {
    "shared_buffers": "64MB",
    "max_connections": 50,
    "max_wal_size": "512MB",
    "max_parallel_workers_per_gather": 0,
    "jit": "off",
}
"""A small footprint; ``fsync`` and ``synchronous_commit`` stay on."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where everything is."""

    folder: Path
    postgres_url: str
    mongo_url: str
    postgres: str
    """The server's name and version."""
    mongo: str
    settings: Settings
    scenario: Scenario
    prepared: Prepared

    @property
    def config(self) -> Path:
        """The configuration of the demo's worker."""
        return self.prepared.config

    def ways_in(self, *, brief: bool = False) -> list[tuple[str, str]]:
        """Say how to connect to what runs here; ``brief``: without this machine's paths, for a picture."""
        services = [(one.name, f"{one.url}{one.show}") for one in self.prepared.services]
        return [
            *services,
            ("PostgreSQL", f"psql {self.postgres_url}"),
            ("MongoDB", f'mongosh "{self.mongo_url}"'),
            ("Syncline", self._status(brief=brief)),
        ]

    def _status(self, *, brief: bool) -> str:
        command = "syncline" if brief else str(self.folder / "syncline")
        return f"{command} status --watch 1   (or verify, explain, doctor …)"


@contextlib.contextmanager
def opened(scenario: Scenario, on_step: Callable[[str], None], *, accept: bool) -> Iterator[Environment]:
    """Start both servers, create the schema, install; end and remove all of it afterwards.

    Args:
        scenario: what is run.
        on_step: is called with each step.
        accept: the user accepts the MongoDB engine's licence.

    Raises:
        EngineError: a server is missing or does not start.

    """
    folder = Path(tempfile.mkdtemp(prefix="syncline-demo-"))
    try:
        postgres = PrivatePostgres(folder / "postgres", tcp_port=0, settings=POSTGRES_SETTINGS)
        mongo = PrivateMongo(folder / "mongo", tcp_port=0, accept=accept)
        with contextlib.ExitStack() as servers:
            servers.callback(postgres.kill)
            servers.callback(mongo.kill)
            on_step("starting a private PostgreSQL")
            postgres.start()
            on_step(f"starting a private MongoDB ({'mongod' if mongo.kind == 'mongod' else 'its engine'})")
            mongo.start()
            on_step(f"creating {scenario.what}; installing capture")
            yield asyncio.run(_prepare(scenario, folder, postgres.tcp_url, mongo.tcp_url, mongo.kind))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _prepare(scenario: Scenario, folder: Path, server_url: str, mongo_server_url: str, kind: str) -> Environment:
    postgres_url = with_database(server_url, DATABASE)
    mongo_url = with_database(mongo_server_url, DATABASE)
    async with await connect(server_url, application="syncline demo") as connection:
        await connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    prepared = await scenario.prepare(folder, postgres_url, mongo_url)
    settings = load(prepared.config, env=prepared.environment)
    async with await connect(postgres_url, application="syncline demo") as connection:
        await install(connection, await plan(connection, settings.entities, options_of(settings.source)))
        version = connection.info.parameter_status("server_version") or ""
    async with AsyncMongoClient[Mapping[str, Any]](mongo_url) as client:
        mongo = f"MongoDB {(await client.server_info())['version']}{'' if kind == 'mongod' else ' (engine)'}"
    await scenario.seed(postgres_url)
    postgres = f"PostgreSQL {version.split(' ')[0]}"
    _write_command(folder / "syncline", prepared.config, postgres_url, mongo_url)
    return Environment(folder, postgres_url, mongo_url, postgres, mongo, settings, scenario, prepared)


def _write_command(file: Path, config: Path, postgres_url: str, mongo_url: str) -> None:
    """Write a ``syncline`` that works on the demo's databases, whatever the shell's environment says."""
    values = {"DATABASE_URL": postgres_url, "MONGODB_URL": mongo_url, "SYNCLINE_CONFIG": str(config)}
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]
    lines.append(f'exec {shlex.quote(str(Path(sys.executable).parent / "syncline"))} "$@"')
    file.write_text("\n".join(lines) + "\n", "utf-8")
    file.chmod(0o700)
