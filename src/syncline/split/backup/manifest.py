"""What is known of a backup: what was in the database, what was stored, and how to tell that it is still that."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from syncline.errors import DamagedBackupError

FORMAT = 1
SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds."""

    tables: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Rows, and the digest over them in any order."""
    sequences: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each stands, and its step."""
    objects: dict[str, str] = field(default_factory=dict)
    """Triggers, constraints, indexes, functions, views, columns: ``kind name`` → digest of the definition."""
    large_objects: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup."""

    name: str
    database: str
    """The name under which it is configured."""
    dbname: str
    """What the server calls it."""
    taken_at: datetime
    """The moment of the snapshot: later transactions are not in it."""
    seconds: float
    server_version: int
    program_version: int
    """Of pg_dump; pg_restore must be as new."""
    archive: str
    """The file's name in the store."""
    size: int
    sha256: str
    """Of the archive as it is stored."""
    encrypted: bool
    files: dict[str, str]
    """Files of the dump, with SHA-256."""
    contents: Contents

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(rows for rows, _ in self.contents.tables.values())

    @property
    def key(self) -> str:
        """The manifest's own file in the store."""
        return self.name + SUFFIX

    def inner(self) -> Manifest:
        """Give the form that stands inside of the archive, where its own digest cannot be."""
        return replace(self, size=0, sha256="", seconds=0.0)

    def write(self) -> bytes:
        """Write it, with a checksum of itself."""
        body = {"format": FORMAT, **asdict(self)}
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
        return orjson.dumps({"checksum": hashlib.sha256(text).hexdigest(), "manifest": body}, option=_PRETTY)

    @classmethod
    def read(cls, text: bytes, called: str) -> Manifest:
        """Read it.

        Raises:
            DamagedBackupError: it is not whole, was changed, or is a newer release's.

        """
        try:
            given = orjson.loads(text)
            body = given["manifest"]
            seen = hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
            if seen != given["checksum"]:
                raise DamagedBackupError(f"{called}: the manifest was changed", hint="take another backup")
            if body.pop("format") != FORMAT:
                raise DamagedBackupError(f"{called}: a newer Syncline has written it", hint="upgrade Syncline")
            return cls(**{**body, "taken_at": datetime.fromisoformat(body["taken_at"]), "contents": _contents(body)})
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedBackupError(
                f"{called}: the manifest cannot be read: {error}", hint="take another one"
            ) from None


_PRETTY = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z | orjson.OPT_INDENT_2


def _contents(body: dict[str, Any]) -> Contents:
    given = body["contents"]
    return Contents(
        {name: (rows, digest) for name, (rows, digest) in given["tables"].items()},
        {name: (value, step) for name, (value, step) in given["sequences"].items()},
        given["objects"],
        given["large_objects"],
    )
