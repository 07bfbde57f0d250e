"""Our SQL stands in files with named blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncline.postgres import sql

SOURCE = Path(sql.__file__).parent.parent
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_the_blocks_of_a_file_have_names_of_their_own(file: Path) -> None:
    package = ".".join(["syncline", *file.parent.parts])
    named = (SOURCE / file).read_text("utf-8").count("\n-- name: ")
    assert len(sql.blocks(file.name, package)) in (named, named + 1)  # the first one may begin the file


def test_two_blocks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "twice.sql").write_text("-- name: a\nSELECT 1\n-- name: b\nSELECT 2\n-- name: a\nSELECT 3\n")

    def here(_: Any) -> Path:
        return tmp_path

    monkeypatch.setattr(sql, "files", here)
    with pytest.raises(ValueError, match=r"twice\.sql has two blocks named a$"):
        sql.blocks("twice.sql", "tests.unit")
