"""The links of a file that a running worker reads again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncline.cli import worker
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


@pytest.mark.parametrize("where", [(Path, "exists"), (worker, "every_link")], ids=["looked for", "anywhere"])
def test_a_file_that_the_system_does_not_give_changes_nothing(
    tmp_path: Path, masked: list[Any], monkeypatch: pytest.MonkeyPatch, where: tuple[Any, str]
) -> None:
    file = tmp_path / "syncline.toml"
    file.write_text(FILE.format(password="opensesame").replace('"shops.txt"', '["acme"]'), "utf-8")
    links = FileLinks(file, LogSettings())

    def refused(*_: Any, **__: Any) -> bool:
        raise PermissionError(13, "Permission denied", str(file))

    with monkeypatch.context() as patched, capture_logs() as said:
        patched.setattr(*where, refused)
        assert links.links() is None
        assert links.links() is None
    assert [one["log_level"] for one in said] == ["warning"], "once"
    assert "Permission denied" in said[0]["error"]
    assert [one.link.name for one in links.links() or ()] == ["shop_acme"]


def test_the_password_of_a_link_that_is_gone_is_masked_while_its_worker_ends(tmp_path: Path, masked: list[Any]) -> None:
    file = tmp_path / "syncline.toml"
    links = FileLinks(file, LogSettings())
    for password in ("opensesame", "another"):
        file.write_text(FILE.format(password=password).replace('"shops.txt"', '["acme"]'), "utf-8")
        assert links.links() is not None
    assert masked == [{"opensesame"}, {"opensesame", "another"}]
