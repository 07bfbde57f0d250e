"""A PostgreSQL kept equal to another one, through the commands; and a comparison that shares no code with ``verify``."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from click.testing import Result
from typer.testing import CliRunner

from syncline.cli.main import app
from tests.relay import PATIENCE

WORKER = "[worker]\nlease_seconds = 2\nrenew_seconds = 0.25\npoll_seconds = 60\n[history]\nkeep = '1h'\n"


class Copy:
    """Two databases, a configuration in a folder, and the command."""

    def __init__(self, source: str, target: str, folder: Path) -> None:
        self.source, self.target, self.folder = source, target, folder
        self.here = psycopg.connect(source, autocommit=True)
        self.there = psycopg.connect(target, autocommit=True)

    def close(self) -> None:
        self.here.close()
        self.there.close()

    def both(self, ddl: str) -> None:
        for side in (self.here, self.there):
            side.execute(ddl)

    def configure(self, entities: str, *, more: str = "", target: str = "") -> None:
        """Write the file; ``entities`` are names, or sections as they stand in it."""
        sections = entities if "[" in entities else "".join(f"[entities.{name}]\n" for name in entities.split())
        url = target or f"url = {json.dumps(self.target)}\ntimeout_seconds = 2\n"
        text = f"[source]\nurl = {json.dumps(self.source)}\n[target]\n{url}{WORKER}{more}\n{sections}"
        (self.folder / "syncline.toml").write_text(text)

    def run(self, *arguments: object) -> Result:
        config = ["--config", str(self.folder / "syncline.toml")]
        return CliRunner().invoke(app, [*map(str, arguments), *config], env={"DATABASE_URL": None, "MONGODB_URL": None})

    def __call__(self, *arguments: object, status: int = 0) -> str:
        result = self.run(*arguments)
        assert result.exit_code == status, result.output + repr(result.exception)
        return result.output

    def json(self, *arguments: object, status: int = 0) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == status, result.output + repr(result.exception)
        return json.loads(result.stdout)

    def refused(self, *arguments: object, status: int = 3) -> str:
        """Run a command that must fail with a sentence, and give it."""
        result = self.run(*arguments)
        assert result.exit_code == status, result.output + repr(result.exception)
        assert "Traceback" not in result.output
        return " ".join(result.output.split())

    @contextlib.contextmanager
    def worker(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``syncline worker``; at the end of the block it is killed."""
        environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}
        command = [str(Path(sys.executable).with_name("syncline")), "worker", *arguments]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stderr=log, stdout=log, env=environment, cwd=self.folder)
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def until(self, query: str, *, there: bool = False, is_: Any = None) -> Any:
        """Wait until a query's only value is what it should be (by default: true)."""
        deadline, found = time.monotonic() + PATIENCE, None
        while time.monotonic() < deadline:
            found = (self.there if there else self.here).execute(query).fetchone()
            if found and (found[0] == is_ if is_ is not None else found[0]):
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"{query}: {found}\n{self.log.read_text() if self.log.exists() else ''}")

    def drained(self) -> None:
        """Wait until nothing is left to do."""
        self.until(
            "SELECT NOT EXISTS (SELECT FROM syncline.outbox) AND NOT EXISTS (SELECT FROM syncline.task)"
            " AND NOT EXISTS (SELECT FROM syncline.deferred)"
        )

    def difference(self, *tables: str) -> Sequence[tuple[str, str]]:
        """Compare both sides as texts, row by row."""
        found = []
        for table in tables:
            query = f"SELECT t::text FROM {table} AS t"
            here, there = ({row[0] for row in side.execute(query)} for side in (self.here, self.there))
            found += [(table, row) for row in sorted(here ^ there)]
        return found
