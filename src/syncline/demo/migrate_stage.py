"""The stage of ``syncline demo migrate``: a MongoDB, a PostgreSQL, and each command of an operator as a process."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from syncline.config.urls import with_database
from syncline.demo.split_stage import PASSWORD, Stage, cleaned, started
from syncline.embedded import PrivateMongo, PrivatePostgres

NAME = "taskboard"


@dataclass
class MigrateStage(Stage):
    """``primary`` is MongoDB, ``data`` is PostgreSQL."""

    postgres: PrivatePostgres = field(kw_only=True)
    application: ClassVar[tuple[str, ...]] = ("django", "runserver", "127.0.0.1:{port}", "--noreload", "--skip-checks")
    health: ClassVar[str] = "/health"

    def environment(self, *, split: bool) -> dict[str, str]:  # noqa: ARG002  there is one mode
        """Give the environment of a process, without the user's own settings."""
        parts = urlsplit(self.data)
        return {
            **self.own("POSTGRES_", "TASKBOARD_", "DUAL_WRITE_", "DJANGO_"),
            "MONGODB_URL": self.primary,
            "DATABASE_URL": self.data,
            "POSTGRES_HOST": parts.hostname or "",
            "POSTGRES_PORT": str(parts.port or ""),
            "POSTGRES_NAME": NAME,
            "POSTGRES_USER": parts.username or "",
            "POSTGRES_PASSWORD": parts.password or "",
            "TASKBOARD_SECRET_KEY": "of a demo",
            "TASKBOARD_ADMIN_PASSWORD": PASSWORD,
            "DJANGO_SETTINGS_MODULE": "taskboard.settings",
        }

    def manage(self, *arguments: str) -> None:
        """Type a command of the application's."""
        self.module("django", *arguments, split=False)

    def phases(self) -> dict[str, str]:
        """Give the phase of each collection."""
        told = json.loads(self.run("phase", "status", "--json"))
        return {one["collection"]: one["phase"] for one in told["collections"]}

    def worker(self) -> subprocess.Popen[str]:
        """Begin a worker."""
        return self.begin("worker", "syncline.cli.main", "worker")


@contextlib.contextmanager
def opened(app: Path, say: Callable[..., None]) -> Iterator[MigrateStage]:
    """Start both servers for a block; end every process and remove the folder afterwards."""
    with cleaned() as (folder, cleaning):
        postgres, data = started(cleaning, folder / "postgres", NAME)
        mongo = PrivateMongo(folder / "mongo", cache_mb=256)
        cleaning.callback(mongo.kill)
        mongo.start()
        mongodb = with_database(mongo.url, NAME)
        stage = MigrateStage(app.absolute(), folder, mongodb, data, say, postgres=postgres)
        cleaning.callback(stage.end)
        yield stage
