"""Statements for people and for lists: short, and told apart whatever their values."""

from __future__ import annotations

import hashlib
import re

from syncline.split.grammar import GrammarError, fingerprint
from syncline.split.placeholders import Placeholders, readings

LENGTH = 160


def digest(sql: str, placeholders: Placeholders = Placeholders.NONE) -> str:
    """Give the same sixteen characters for statements that differ in values and layout only."""
    for text in readings(sql, placeholders):
        try:
            return fingerprint(text)
        except GrammarError:
            continue
    return hashlib.sha256(sql.encode()).hexdigest()[:16]


def shortened(sql: str) -> str:
    """Write a statement on one line, and not too long."""
    line = re.sub(r"\s+", " ", sql).strip()
    return line if len(line) <= LENGTH else line[: LENGTH - 1] + "…"
