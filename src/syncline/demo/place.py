"""The demo's private place: a folder with two database servers and a configuration, gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymongo import AsyncMongoClient

from syncline.capture.install import InstallOptions, install, plan
from syncline.config import Settings, load
from syncline.embedded import PrivateMongo, PrivatePostgres
from syncline.outbox.connection import connect, translated
from syncline.outbox.sql import blocks

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
class Place:
    """Where everything is."""

    folder: Path
    postgres_url: str
    mongo_url: str
    postgres: str
    """The server's name and version."""
    mongo: str
    settings: Settings

    @property
    def config(self) -> Path:
        """The configuration of the demo's worker."""
        return self.folder / "syncline.toml"

    def ways_in(self, *, brief: bool = False) -> list[tuple[str, str]]:
        """Say how to connect to what runs here; ``brief``: without this machine's paths, for a picture."""
        foreign = [name for name in ("DATABASE_URL", "MONGODB_URL") if name in os.environ]
        without = "".join(f"-u {name} " for name in foreign)
        prefix = f"env {without}" if without else ""
        command, config = (
            (f"{prefix}{shlex.quote(_command())}", self.config) if not brief else ("syncline", self.config.name)
        )
        return [
            ("PostgreSQL", f"psql {self.postgres_url}"),
            ("MongoDB", f'mongosh "{self.mongo_url}"'),
            ("Syncline", f"{command} status --watch 1 -c {config}"),
        ]


@contextlib.contextmanager
def opened(told: Callable[[str], None], *, accept: bool) -> Iterator[Place]:
    """Start both servers, create the schema, write the configuration, install; end and remove all of it afterwards.

    Args:
        told: is called with each step.
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
            told("starting a private PostgreSQL")
            postgres.start()
            told(f"starting a private MongoDB ({'mongod' if mongo.kind == 'mongod' else 'its engine'})")
            mongo.start()
            told("creating users, todos with steps, messages; installing capture")
            yield asyncio.run(_furnish(folder, postgres.tcp_url, mongo.tcp_url, mongo.kind))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _furnish(folder: Path, server_url: str, mongo_server_url: str, kind: str) -> Place:
    postgres_url = urlsplit(server_url)._replace(path=f"/{DATABASE}").geturl()
    mongo_url = urlsplit(mongo_server_url)._replace(path=f"/{DATABASE}").geturl()
    async with await connect(server_url, application="syncline demo") as connection:
        await connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    config = folder / "syncline.toml"
    template = files("syncline.demo").joinpath("demo.toml").read_text("utf-8")
    config.write_text(template.replace("{postgres}", postgres_url).replace("{mongo}", mongo_url), "utf-8")
    settings = load(config, env={})
    async with await connect(postgres_url, application="syncline demo") as connection:
        statements = blocks("demo.sql", "syncline.demo")
        with translated():
            await connection.execute(statements["schema"].encode())
        await install(connection, await plan(connection, settings.entities, InstallOptions()))
        with translated():  # after the installation: what is there already is captured too
            await connection.execute(statements["seed"].encode())
        version = connection.info.parameter_status("server_version") or ""
    async with AsyncMongoClient[Mapping[str, Any]](mongo_url) as client:
        mongo = f"MongoDB {(await client.server_info())['version']}{'' if kind == 'mongod' else ' (engine)'}"
    return Place(folder, postgres_url, mongo_url, f"PostgreSQL {version.split(' ')[0]}", mongo, settings)


def _command() -> str:
    """Name the command as it can be typed: shortly where PATH or this folder allow it."""
    beside = Path(sys.executable).parent / "syncline"
    found = shutil.which("syncline")
    if found and Path(found).resolve() == beside.resolve():
        return "syncline"
    with contextlib.suppress(ValueError):
        return str(beside.relative_to(Path.cwd()))
    return str(beside)
