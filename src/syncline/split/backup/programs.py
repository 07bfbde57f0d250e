"""pg_dump and pg_restore: found, as new as the server, run with the password in the environment."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncline.errors import BackupError
from syncline.split.address import Address
from syncline.split.direct import for_programs


@dataclass(frozen=True, slots=True)
class Program:
    """One of PostgreSQL's programs."""

    path: str
    major: int

    @property
    def name(self) -> str:
        """What it is called."""
        return Path(self.path).name

    @contextlib.contextmanager
    def running(self, address: Address, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        """Run it on a database for a block, whose end ends it; what it says can be read from its standard error."""
        place, secrets = for_programs(address)
        command = [self.path, *arguments, "--no-password", "--dbname", place]
        environment: Mapping[str, str] = {**os.environ, **secrets, "LC_MESSAGES": "C"}
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # it ends its workers, and their statements
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def find(name: str, folder: str, needed: int, whose: str) -> Program:
    """Find a program that is new enough.

    Args:
        name: of the program.
        folder: where it is; empty: on PATH.
        needed: the major version that it must have at least.
        whose: for whom, in messages.

    Raises:
        BackupError: there is none, or it is too old.

    """
    found = shutil.which(name, path=folder or None)
    where = folder or "PATH"
    hint = f"install PostgreSQL {needed}'s client, and name its folder: programs in [backup]"
    if found is None:
        raise BackupError(f"there is no {name} in {where}", hint=hint)
    shown = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", shown)
    if match is None:
        raise BackupError(f"{found} does not say which version it is", hint=hint)
    if int(match[1]) < needed:
        raise BackupError(f"{found} is version {match[1]}, and {whose} is PostgreSQL {needed}", hint=hint)
    return Program(found, int(match[1]))


def complaint(said: str, address: Address) -> str:
    """Shorten what a program said to the line that matters, without secrets."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "FATAL" in line or "ERROR" in line]
    text = (errors or lines or ["it says nothing"])[0]
    for secret in address.secrets:
        text = text.replace(secret, "***")
    return text
