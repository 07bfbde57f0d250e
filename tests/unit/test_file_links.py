"""The links of a file that a running worker reads again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncline.cli.boundary import Invocation, invocation
from syncline.cli.worker import FileLinks
from syncline.config.settings import LogSettings
from syncline.telemetry import logs

FILE = """\
[links."shop_*"]
each = "shops.txt"
source.url = "postgresql://u:{password}@h/{{each}}"
target.url = "mongodb://m/{{each}}"
entities.todo.table = "todo"
"""


@pytest.fixture
def masked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[frozenset[str]]]:
    """What is masked in the log, after each reading."""
    before = invocation.set(Invocation())
    found: list[frozenset[str]] = []

    def setup(_: LogSettings, *, secrets: frozenset[str]) -> None:
        found.append(secrets)

    monkeypatch.setattr(logs, "setup", setup)
    yield found
    invocation.reset(before)


def test_words_come_and_go_and_what_cannot_be_read_changes_nothing(tmp_path: Path, masked: list[Any]) -> None:
    file, words = tmp_path / "syncline.toml", tmp_path / "shops.txt"
    file.write_text(FILE.format(password="opensesame"), "utf-8")
    words.write_text("acme\nbakery\n", "utf-8")
    links = FileLinks(file, LogSettings())
    links.continuously = True

    def names() -> Mapping[str, bool] | None:
        found = links.links()
        return None if found is None else {one.link.name: one.verify.continuously for one in found}

    assert names() == {"shop_acme": True, "shop_bakery": True}
    assert masked == [{"opensesame"}]
    words.write_text("acme\ncorner\n", "utf-8")
    assert names() == {"shop_acme": True, "shop_corner": True}
    words.write_text("No Word\n", "utf-8")
    with capture_logs() as said:
        assert names() is None
        assert names() is None
    assert [one["log_level"] for one in said] == ["warning"], "once"
    assert "cannot name a link" in said[0]["error"]
    words.write_text("corner\n", "utf-8")
    assert names() == {"shop_corner": True}
