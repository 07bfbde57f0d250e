"""Names of tables and functions as statements write them."""

from __future__ import annotations

import re
from typing import NamedTuple

_SYSTEM = frozenset({"pg_catalog", "information_schema", "pg_toast"})
_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^".]+))\s*(?:\.|$)')


class Name(NamedTuple):
    """A name with the schema that was written before it, if any."""

    schema: str | None
    name: str

    @property
    def is_system(self) -> bool:
        """Whether it is PostgreSQL's own, or a temporary table by its schema: such a table is in every database."""
        if self.schema is None:
            return self.name.startswith("pg_")
        return self.schema in _SYSTEM or self.schema.startswith("pg_temp")

    @classmethod
    def read(cls, text: str) -> Name:
        """Read ``table``, ``schema.table`` or ``"Quoted"."Names"``; what is not quoted is folded to lower case."""
        parts = [quoted.replace('""', '"') or plain.strip().lower() for quoted, plain in _PART.findall(text)]
        return cls(parts[-2] if len(parts) > 1 else None, parts[-1] if parts else text)

    def __str__(self) -> str:
        """Write it as SQL does."""
        return ".".join(_quoted(part) for part in (self.schema, self.name) if part is not None)


def _quoted(part: str) -> str:
    return part if re.fullmatch(r"[a-z_][a-z0-9_$]*", part) else '"' + part.replace('"', '""') + '"'
