"""The page on the architecture sends nobody to a file that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
SOURCE = ROOT / "src/syncline"


def test_every_file_and_folder_that_it_names_is_there() -> None:
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]*)*(?:\.(?:py|sql))?)`", PAGE))
    files = {one for one in named if one.endswith((".py", ".sql")) or "/" in one}
    inside = [SOURCE / one for one in files]
    nested = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*")}
    missing = [
        one
        for one, path in zip(files, inside, strict=True)
        if not path.exists() and not _below(one.rstrip("/"), nested)
    ]
    assert len(files) > 40
    assert missing == []


def test_symptoms_lead_to_ten_files_at_least() -> None:
    """What a stranger looks for is found at the first guess."""
    table = PAGE.partition("## Where to look")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    named = [re.findall(r"`([a-z_/]+\.(?:py|sql))`", row) for row in rows]
    assert len(rows) >= 10
    assert all(named)
    assert all((SOURCE / one).is_file() for files in named for one in files)


def _below(name: str, nested: set[str]) -> bool:
    return any(one.endswith(f"/{name}") for one in nested)
