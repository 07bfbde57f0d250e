"""``syncline serve`` in a process of its own, and what a page shows that nobody would wish to see there."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.relay import PATIENCE, Relay

TOKEN = "correct-horse-battery-staple"
EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'


class Served:
    """A server that runs, and where."""

    def __init__(self, process: subprocess.Popen[str], told: str) -> None:
        self.process, self.told = process, told
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", told)
        assert found, told
        self.url, self.port = found[0], int(found[1])

    @property
    def way_in(self) -> str:
        return f"{self.url}login#{TOKEN}"


@contextlib.contextmanager
def serving(folder: Path, toml: str, *, port: int = 0, token: str | None = TOKEN) -> Iterator[Served]:
    """Run ``syncline serve`` for a block; whatever happens it is gone afterwards."""
    file = folder / "syncline.toml"
    file.write_text(toml.replace("[source]", f"[source]\nconnect_timeout_seconds = {PATIENCE:.0f}", 1))
    hidden = {"DATABASE_URL", "MONGODB_URL", "SYNCLINE_ADMIN_TOKEN"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    if token is not None:
        environment["SYNCLINE_ADMIN_TOKEN"] = token
    command = [str(Path(sys.executable).with_name("syncline")), "serve", "--port", str(port), "--config", str(file)]
    with (folder / "serve.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, cwd=folder)
        assert process.stdout is not None
        try:
            told = "".join(process.stdout.readline() for _ in range(2))
            yield Served(process, told)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def park(relay: Relay, key: str, *, error: str = "too large", payload: str | None = None, entity: str = "item") -> int:
    """Park a record as a worker would; return its id."""
    row: Any = relay.value(
        "INSERT INTO syncline.parked (seq, entity, lane, hint, key, payload, created_at, code, error)"
        " SELECT 1, id, syncline.lane_of(id, %s), 'U', %s, %s::jsonb, now(), 'too_large', %s"
        " FROM syncline.entity WHERE name = %s RETURNING id",
        key, key, payload, error, entity,
    )  # fmt: skip
    return int(row)
