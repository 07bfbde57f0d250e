"""The stage of ``syncline demo migrate``: a MongoDB, a PostgreSQL, and each command of an operator as a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from syncline.demo.children import KEPT_VARIABLES
from syncline.demo.environment import POSTGRES_SETTINGS
from syncline.demo.split_stage import PASSWORD, Stage
from syncline.embedded import PrivateMongo, PrivatePostgres

NAME = "taskboard"


@dataclass
class MigrateStage(Stage):
    """``primary`` is MongoDB, ``data`` is PostgreSQL."""

    postgres: PrivatePostgres | None = None

    def environment(self, *, split: bool) -> dict[str, str]:  # noqa: ARG002  there is one mode
        """Give the environment of a process, without the user's own settings."""
        kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or not _is_setting(name)}
        parts = urlsplit(self.data)
        given = {
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
            "PYTHONPATH": str(self.app),
            "PYTHONUNBUFFERED": "1",
        }
        return {**kept, **given}

    def manage(self, *arguments: str) -> None:
        """Type a command of the application's."""
        self.module("django", *arguments, split=False)

    def serving(self) -> int:
        """Begin the application; give the port on which it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        command = ("django", "runserver", f"127.0.0.1:{port}", "--noreload", "--skip-checks")
        process = self.begin(f"application-{port}", *command)
        self.until(lambda: _answers(port), "the application answers", process)
        return port

    def worker(self) -> subprocess.Popen[str]:
        """Begin a worker."""
        return self.begin("worker", "syncline.cli.main", "worker")


@contextlib.contextmanager
def opened(app: Path, say: Callable[..., None]) -> Iterator[MigrateStage]:
    """Start both servers for a block; end every process and remove the folder afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="syncline-demo-"))
    try:
        with contextlib.ExitStack() as cleaning:
            postgres = PrivatePostgres(folder / "postgres", tcp_port=0, settings=POSTGRES_SETTINGS)
            cleaning.callback(postgres.kill)
            postgres.start()
            with psycopg.connect(postgres.tcp_url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE taskboard")
            mongo = PrivateMongo(folder / "mongo", cache_mb=256)
            cleaning.callback(mongo.kill)
            mongo.start()
            mongodb, data = (urlsplit(url)._replace(path=f"/{NAME}").geturl() for url in (mongo.url, postgres.tcp_url))
            stage = MigrateStage(app.absolute(), folder, mongodb, data, say, postgres=postgres)
            cleaning.callback(stage.end)
            yield stage
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_setting(name: str) -> bool:
    return name.endswith("_URL") or name.startswith(("SYNCLINE_", "POSTGRES_", "TASKBOARD_", "DUAL_WRITE_", "DJANGO_"))


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
