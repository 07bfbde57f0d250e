"""The stage of ``syncline demo split``: two servers, and each command of an operator as a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg.sql import SQL, Identifier

from syncline.config.urls import with_database
from syncline.demo.children import KEPT_VARIABLES
from syncline.demo.environment import POSTGRES_SETTINGS
from syncline.embedded import PrivatePostgres
from syncline.embedded.paths import choose_port
from syncline.errors import SynclineError

ADMIN, PASSWORD = "root@example.org", "correct horse battery"
BACKOFFICE = {
    "BACKOFFICE_HASH_MEMORY_KIB": "64",
    "BACKOFFICE_WRITE_SECONDS": "60",
    "BACKOFFICE_ADMIN_PASSWORD": PASSWORD,
}
PATIENCE_SECONDS = 120.0


@dataclass
class Stage:
    """The folder, the servers, and the processes that were begun."""

    app: Path
    folder: Path
    primary: str
    data: str
    say: Callable[..., None]
    began: float = field(default_factory=time.monotonic)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    application: ClassVar[tuple[str, ...]] = (
        "uvicorn", "--factory", "backoffice.app:create_app", "--port", "{port}", "--log-level", "warning",
    )  # fmt: skip
    health: ClassVar[str] = "/api/health"

    def environment(self, *, split: bool) -> dict[str, str]:
        """Give the environment of a process, without the user's own settings."""
        named = {"PRIMARY_DATABASE_URL": self.primary, "DATA_DATABASE_URL": self.data}
        mode = {"SPLIT_DB_MODE": "true"} if split else {"DATABASE_URL": self.primary}
        return self.own("BACKOFFICE_") | named | mode | BACKOFFICE

    def own(self, *settings: str) -> dict[str, str]:
        """Give our own environment without what begins like a setting."""
        begins = ("SYNCLINE_", "SPLIT_DB_MODE", *settings)
        kept = {
            k: v
            for k, v in os.environ.items()
            if k in KEPT_VARIABLES or not (k.endswith("_URL") or k.startswith(begins))
        }
        return {**kept, "PYTHONPATH": str(self.app), "PYTHONUNBUFFERED": "1"}

    def note(self, text: str, style: str = "") -> None:
        """Tell what happens."""
        self.say(f"{time.monotonic() - self.began:5.1f} s  {text}", style=style)

    def begin(self, name: str, *arguments: str, split: bool = True, pipe: bool = False) -> subprocess.Popen[str]:
        """Begin ``python -m …`` in the application's folder."""
        with (self.folder / f"{name}.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self.app,
                env=self.environment(split=split),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else log,
                stderr=subprocess.STDOUT if pipe else log,
                text=True,
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, split: bool = True) -> str:
        """Type a command of Syncline's, and give what it said.

        Raises:
            SynclineError: it has failed.

        """
        return self._through("syncline.cli.main", *arguments, split=split, called=f"syncline {' '.join(arguments)}")

    def module(self, *arguments: str, split: bool) -> None:
        """Run a module of the application's."""
        self._through(*arguments, split=split, called=arguments[0])

    def _through(self, *arguments: str, split: bool, called: str) -> str:
        process = self.begin("commands", *arguments, split=split, pipe=True)
        out, _ = process.communicate()
        if process.returncode:
            raise SynclineError(f"{called} has ended with status {process.returncode}", hint=out.strip()[-2000:])
        return out

    def serve(self, *, split: bool) -> tuple[int, subprocess.Popen[str]]:
        """Begin the application; give the port on which it answers, and its process."""
        port = choose_port(0)
        words = [word.format(port=port) for word in self.application]
        process = self.begin(f"application-{port}", *words, split=split)
        self.until(lambda: _answers(port, self.health), "the application answers", process)
        return port, process

    def until(self, holds: Callable[[], object], what: str, process: subprocess.Popen[str] | None = None) -> None:
        """Wait until something holds.

        Raises:
            SynclineError: it does not, or the process has ended.

        """
        limit = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > limit:
                raise SynclineError(f"the demo has waited in vain: {what}", hint=self._last_words())
            time.sleep(0.05)

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*.log"), key=lambda file: file.stat().st_mtime)
        return "\n".join(f"{log.name}: {log.read_text('utf-8', 'replace')[-600:]}" for log in logs)

    def end(self) -> None:
        """End every process that still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def opened(app: Path, say: Callable[..., None]) -> Iterator[Stage]:
    """Start both servers for a block; end every process and remove the folder afterwards."""
    with cleaned() as (folder, cleaning):
        urls = [started(cleaning, folder / name, "demo", own_identity=True)[1] for name in ("primary", "data")]
        stage = Stage(app.absolute(), folder, urls[0], urls[1], say)
        cleaning.callback(stage.end)
        yield stage


@contextlib.contextmanager
def cleaned() -> Iterator[tuple[Path, contextlib.ExitStack]]:
    """Give a folder for a block, and what is carried out before it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="syncline-demo-"))
    try:
        with contextlib.ExitStack() as cleaning:
            yield folder, cleaning
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def started(
    cleaning: contextlib.ExitStack, folder: Path, name: str, *, own_identity: bool = False
) -> tuple[PrivatePostgres, str]:
    """Start a server that has a database of this name; give the URL of that, too."""
    server = PrivatePostgres(folder, tcp_port=0, settings=POSTGRES_SETTINGS, own_identity=own_identity)
    cleaning.callback(server.kill)
    server.start()
    with psycopg.connect(server.tcp_url, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    return server, with_database(server.tcp_url, name)


def _answers(port: int, health: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{health}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
