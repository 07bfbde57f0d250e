"""A PostgreSQL kept equal to another one, through the commands."""

from __future__ import annotations

import json
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from tests.commanded import Commanded

WORKER = "[worker]\nlease_seconds = 2\nrenew_seconds = 0.25\npoll_seconds = 60\n[history]\nkeep = '1h'\n"


class Copy(Commanded):
    """A source, a target and their configuration."""

    def __init__(self, source: str, target: str, folder: Path) -> None:
        super().__init__(source, target, folder)
        self.source, self.target = source, target

    def both(self, ddl: str) -> None:
        for side in (self.here, self.there):
            side.execute(ddl.encode())

    def configure(self, entities: str, *, more: str = "", target: str = "") -> None:
        """Write the file; ``entities`` are names, or sections as they stand in it."""
        sections = entities if "[" in entities else "".join(f"[entities.{name}]\n" for name in entities.split())
        url = target or f"url = {json.dumps(self.target)}\ntimeout_seconds = 2\n"
        text = f"[source]\nurl = {json.dumps(self.source)}\n[target]\n{url}{WORKER}{more}\n{sections}"
        (self.folder / "syncline.toml").write_text(text)

    def worker(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run ``syncline worker``; at the end of the block it is killed."""
        return self.running("worker", *arguments)

    def drained(self) -> None:
        """Wait until nothing is left to do."""
        self.until(
            "SELECT NOT EXISTS (SELECT FROM syncline.waiting) AND NOT EXISTS (SELECT FROM syncline.task)"
            " AND NOT EXISTS (SELECT FROM syncline.deferred)"
        )
