"""What ``syncline split check`` finds: the catalog, the statistics, and what was seen running."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import psycopg

from syncline.config.named import SplitSettings
from syncline.errors import ConfigError, NamedDatabaseError
from syncline.split.address import Address
from syncline.split.catalogue import Catalogue, read_catalogue
from syncline.split.connecting import clean, connect
from syncline.split.databases import Databases
from syncline.split.findings import Exemptions, Finding, Kind
from syncline.split.obstacles import Ties


@dataclass(frozen=True, slots=True)
class Check:
    """The answer."""

    findings: tuple[Finding, ...]
    tables: int
    """That were looked at."""
    statements: int | None
    """Of the statistics; ``None``: there are none."""

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """Those that are not exempt."""
        return tuple(one for one in self.findings if one.exempt is None)

    def as_dict(self) -> dict[str, object]:
        """Write it for JSON."""
        return {
            "obstacles": len(self.obstacles),
            "exempt": len(self.findings) - len(self.obstacles),
            "tables": self.tables,
            "statements": self.statements,
            "findings": [one.as_dict() for one in self.findings],
        }


def check(databases: Databases, settings: SplitSettings, *, seen: Sequence[Path] = (), today: date) -> Check:
    """Look for every tie between the databases.

    Args:
        databases: with their models declared.
        settings: for exemptions.
        seen: files that the pytest plugin wrote.
        today: for exemptions.

    Raises:
        NamedDatabaseError: a database cannot be reached.
        ConfigError: a file cannot be read.

    """
    exemptions = Exemptions(settings.exempt, today)
    found: dict[str, Finding] = {}
    tables, statements = 0, None
    for address in dict.fromkeys(one.address for one in databases):
        catalogue = _catalogue(address)
        tables += sum(kind in ("r", "p") for kind in catalogue.kinds.values())
        if catalogue.statements is not None:
            statements = (statements or 0) + len(catalogue.statements)
        for finding in Ties(catalogue, databases.routing.ownership).findings():
            found.setdefault(finding.id, exemptions.judge(finding))
    for finding in _seen(seen):
        found.setdefault(finding.id, exemptions.judge(finding))
    return Check((*found.values(), *exemptions.expired()), tables, statements)


def _catalogue(address: Address) -> Catalogue:
    try:
        with connect(address, autocommit=True) as connection:
            return read_catalogue(connection)
    except psycopg.Error as error:
        raise NamedDatabaseError(f"{address.called}: the catalog cannot be read: {clean(address, error)}") from None


def write_seen(path: Path, findings: Iterable[Finding]) -> None:
    """Keep what was found while code ran, a line each."""
    lines = [
        orjson.dumps({"kind": one.kind, "name": one.name, "message": one.message, "where": one.where})
        for one in findings
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def _seen(paths: Sequence[Path]) -> Iterator[Finding]:
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
            yield from [_read(orjson.loads(line)) for line in lines if line]
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "it is written by pytest with --syncline-findings"
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{path} cannot be read: {why}", hint=hint) from None


def _read(line: Any) -> Finding:
    return Finding(Kind(line["kind"]), str(line["name"]), str(line["message"]), where=line["where"])
