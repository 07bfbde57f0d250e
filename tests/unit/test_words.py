"""Numbers with their nouns; and the field's words, which the glossary lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from syncline.model.words import counted

SOURCE, DOCS = (Path(__file__).parents[2] / name for name in ("src/syncline", "docs"))
OURS_ALONE = re.compile(
    r"\b(mend(s|ed|ing)?|convict(s|ed|ion)?|innocent|forsak\w+|bur(y|ies|ied|ying)|was not to be had)\b|_mend|Mend\b"
)
"""Words that the field does not use for what they were used for here."""
IS_NONE = re.compile(r"(?<!there )\b(?:is|are) none\b.*")
"""In place of "is not a …"; that there is none may be said."""


def test_one_is_singular_and_all_others_are_plural():
    assert counted(1, "record") == "1 record"
    assert counted(0, "record") == "0 records"
    assert counted(12_345, "record") == "12,345 records"
    assert counted(2, "entity", "entities") == "2 entities"


def test_the_source_speaks_as_the_field_does():
    files = [path for path in SOURCE.rglob("*") if path.suffix in {".py", ".sql", ".js", ".html"}]
    texts = {path: path.read_text("utf-8") for path in files}
    found = [
        f"{path.relative_to(SOURCE)}: {one[0]}" for path, text in texts.items() for one in OURS_ALONE.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize("folder", [SOURCE, DOCS])
def test_nothing_is_said_to_be_none(folder):
    found = [
        f"{path.relative_to(folder)}: {one[0]}"
        for path in folder.rglob("*")
        if path.suffix in {".py", ".md"}
        for one in IS_NONE.finditer(path.read_text("utf-8"))
    ]
    assert found == []
