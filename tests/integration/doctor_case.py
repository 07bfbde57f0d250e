"""A pair of databases for the doctor to look at, and cures carried out as a reader of its report would type them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.cli.main import app

TABLES = """
CREATE TABLE album (id bigint PRIMARY KEY, title text NOT NULL);
CREATE TABLE track (id bigint PRIMARY KEY, album_id bigint NOT NULL REFERENCES album, name text);
CREATE INDEX track_album ON track (album_id);
CREATE TABLE person (id bigint PRIMARY KEY, name text, secret text);
INSERT INTO album SELECT n, 'album ' || n FROM generate_series(1, 20) AS n;
INSERT INTO track SELECT n, 1 + n % 20, 'track ' || n FROM generate_series(1, 60) AS n;
INSERT INTO person SELECT n, 'person ' || n FROM generate_series(1, 20) AS n;
"""
CONFIG = """
[source]
url = {url}
[target]
url = {mongo}
database = {name}
timeout_seconds = 1.5
connect_timeout_seconds = 2
[worker]
lease_seconds = 15
renew_seconds = 0.25
max_batch_age_seconds = 0.5
grace_seconds = 2.1
[entities.album]
table = "album"
[entities.album.embed.tracks]
table = "track"
on = ["album_id"]
[[entities.album.indexes]]
keys = ["title"]
unique = true
[entities.person]
table = "person"
include = ["name"]
exclude = ["secret"]
[[entities.person.indexes]]
keys = {{ name = "text" }}
"""
UNTOUCHED = {"workers", "indexes"}
"""What is wrong right after an installation: no worker has run yet."""


class Clinic:
    """Syncline installed between two databases. ``report`` is what the doctor says, ``cure`` does what it says."""

    def __init__(self, url: str, mongo_url: str, mongo_db: str, folder: Path) -> None:
        self.url, self.mongo_url, self.folder = url, mongo_url, folder
        self.conn = psycopg.connect(url, autocommit=True)
        self.client: MongoClient[dict[str, Any]] = MongoClient(mongo_url, serverSelectionTimeoutMS=5000)
        self.documents = self.client[mongo_db]
        self.config = folder / "syncline.toml"
        self.configure(url)
        self._workers: list[subprocess.Popen[bytes]] = []

    def configure(self, url: str, *, mongo_url: str | None = None) -> None:
        """Write the configuration for a source, and for a target URL with other options."""
        named = {"url": url, "mongo": mongo_url or self.mongo_url, "name": self.documents.name}
        self.config.write_text(CONFIG.format(**{key: json.dumps(value) for key, value in named.items()}))

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    @property
    def nowhere(self) -> str:
        """Name a MongoDB that is not there. (A refused TCP connection may leave the driver's socket to the collector.)"""
        return f"mongodb://{quote(str(self.folder / 'nobody.sock'), safe='')}/"

    def close(self) -> None:
        self.stop()
        self.conn.close()
        self.client.close()

    def sql(self, query: str, *values: Any) -> list[Any]:
        cursor = self.conn.execute(query, values or None)  # type: ignore[arg-type]  # a test's own text
        return cursor.fetchall() if cursor.description else []

    def run(self, *arguments: str, ok: int = 0, env: dict[str, str] | None = None) -> str:
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.config)], env=env)
        assert result.exit_code == ok, result.output + repr(result.exception)
        return result.output

    def report(self) -> dict[str, dict[str, str]]:
        """Run ``syncline doctor --json``; of several findings of a check the worst."""
        result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(self.config)])
        assert result.exit_code in {0, 1, 2}, result.output + repr(result.exception)
        report = json.loads(result.stdout)
        assert result.exit_code == {"ok": 0, "warning": 1, "critical": 2}[report["level"]]
        for one in report["findings"]:
            assert one["level"] == "ok" or (one["message"] and one["why"] and one["fix"]), one
        return {one["check"]: one for one in reversed(report["findings"])}

    def wrong(self) -> dict[str, str]:
        """Give what is not well: check and message."""
        return {name: one["message"] for name, one in self.report().items() if one["level"] != "ok"}

    def well(self) -> None:
        """Wait until nothing is wrong: a worker's lanes may change hands for a moment."""
        end = time.monotonic() + 60
        while wrong := self.wrong():
            assert time.monotonic() < end, wrong

    def found(self, check: str, level: str, *texts: str) -> dict[str, str]:
        """Run the doctor; this must be found, with these words in the message."""
        one = self.report()[check]
        assert one["level"] == level, one
        for text in texts:
            assert text in one["message"], one
        return one

    def cured(self, finding: dict[str, str]) -> None:
        """Do what the finding says; then it must be gone."""
        self.cure(finding["fix"])
        check = finding["check"]
        after = self.report().get(check, {"level": "ok"})
        deadline = time.monotonic() + 60
        while after["level"] != "ok" and time.monotonic() < deadline:
            after = self.report()[check]  # a worker that was started needs its time
        assert after["level"] == "ok", after

    def cure(self, fix: str) -> None:
        """Type a fix: commands of ours, or SQL."""
        if fix.startswith("syncline "):
            for command in fix.partition("  # ")[0].split(" && "):
                self._command(*command.split()[1:])
            return
        for statement in re.sub(r"  -- .*?$", "", fix).split(";"):
            if statement.strip():
                self.conn.execute(statement)  # type: ignore[call-overload]  # the finding's text

    def _command(self, *arguments: str) -> None:
        if arguments[0] == "worker":
            self.start(*arguments[1:])
        else:
            self.run(*arguments, *(["--yes"] if arguments[0] in ("install", "adopt") else []))

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Run a worker in a process of its own."""
        entry = Path(sys.executable).with_name("syncline")
        environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}
        with (self.folder / f"worker-{len(self._workers)}.log").open("wb") as log:
            command = [str(entry), "worker", "--config", str(self.config), *options]
            self._workers.append(subprocess.Popen(command, stderr=log, stdout=log, env=environment, cwd=self.folder))
        return self._workers[-1]

    def stop(self) -> None:
        """End the workers in order."""
        for process in self._workers:
            process.terminate()
        for process in self._workers:
            process.wait()
        self._workers.clear()

    def until(self, query: str, *, seconds: float = 60) -> None:
        """Wait until a query says true."""
        end = time.monotonic() + seconds
        while not self.sql(query)[0][0]:
            logs = [path.read_text() for path in self.folder.glob("worker-*.log")]
            assert time.monotonic() < end, f"still not: {query}\n{''.join(logs)}"
            time.sleep(0.05)

    def settled(self) -> None:
        """Wait until the workers own every lane and everything is done."""
        self.until(SETTLED)


SETTLED = """
SELECT (SELECT count(*) FROM syncline.lane WHERE owner IS NOT NULL AND confirmed = epoch) = 64
   AND NOT EXISTS (SELECT FROM syncline.waiting) AND NOT EXISTS (SELECT FROM syncline.task)
   AND (SELECT confirmed_beat > 3 FROM syncline.meta)
"""


@contextlib.contextmanager
def clinic(url: str, mongo_url: str, mongo_db: str, folder: Path, *, installed: bool = True) -> Iterator[Clinic]:
    """Make the tables and, if wanted, install."""
    found = Clinic(url, mongo_url, mongo_db, folder)
    try:
        found.conn.execute(sql.SQL(TABLES))
        if installed:
            found.run("install", "--yes")
        yield found
    finally:
        found.close()
