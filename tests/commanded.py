"""Two PostgreSQL databases and a configuration in a folder, through the commands; and a comparison that shares no code with ``verify``."""

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


class Commanded:
    """Runs commands, here or as processes of their own, and looks at both databases."""

    words: tuple[str, ...] = ()
    """What every command line begins with."""

    def __init__(self, here: str, there: str, folder: Path) -> None:
        self.folder = folder
        self.here = psycopg.connect(here, autocommit=True)
        self.there = psycopg.connect(there, autocommit=True)

    def close(self) -> None:
        self.here.close()
        self.there.close()

    @property
    def variables(self) -> dict[str, str]:
        """The URLs in the environment of a process."""
        return {}

    def run(self, *arguments: object, **variables: str | None) -> Result:
        config = ["--config", str(self.folder / "syncline.toml")]
        env = {"DATABASE_URL": None, "MONGODB_URL": None, **self.variables, **variables}
        return CliRunner().invoke(app, [*self.words, *map(str, arguments), *config], env=env)

    def __call__(self, *arguments: object, status: int = 0, **variables: str | None) -> str:
        result = self.run(*arguments, **variables)
        assert result.exit_code == status, result.output + repr(result.exception)
        return result.output

    def json(self, *arguments: object, status: int = 0) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == status, result.output + repr(result.exception)
        return json.loads(result.stdout)

    def refused(self, *arguments: object, status: int = 3, **variables: str | None) -> str:
        """Run a command that must fail with a sentence, and give it."""
        said = self(*arguments, status=status, **variables)
        assert "Traceback" not in said
        return " ".join(said.split())

    def process(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a command as a process of its own; it says what it says to the log."""
        environment = {k: v for k, v in os.environ.items() if not k.endswith("_URL")} | self.variables
        command = [str(Path(sys.executable).with_name("syncline")), *self.words, *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stderr=log, stdout=log, env=environment, cwd=self.folder)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command as a process of its own; at the end of the block it is killed."""
        process = self.process(*arguments)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    @property
    def log(self) -> Path:
        return self.folder / "processes.log"

    def until(self, query: str, *, there: bool = False, is_: Any = None) -> Any:
        """Wait until a query's only value is what it should be (by default: true)."""
        deadline, found = time.monotonic() + PATIENCE, None
        while time.monotonic() < deadline:
            found = (self.there if there else self.here).execute(query.encode()).fetchone()
            if found and (found[0] == is_ if is_ is not None else found[0]):
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"{query}: {found}\n{self.log.read_text()[-3000:] if self.log.exists() else ''}")

    def difference(self, *tables: str) -> Sequence[tuple[str, str]]:
        """Compare both sides as texts, row by row."""
        found = []
        for table in tables:
            query = f"SELECT t::text FROM {table} AS t".encode()
            here, there = ({row[0] for row in side.execute(query)} for side in (self.here, self.there))
            found += [(table, row) for row in sorted(here ^ there)]
        return found
