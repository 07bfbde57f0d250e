"""Patterns of links: a link for each word of a list, and what is refused, with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncline.config import load, load_links
from syncline.errors import ConfigError
from syncline.wiring.work import OfLink

FILE = """\
[links."shop_*"]
each = ["acme", "bakery_2nd"]
[links."shop_*".source]
url = "postgresql://h/shop_{each}"
[links."shop_*".target]
url = "mongodb://m/{each}"
[links."shop_*".entities.todo]
table = "todo"
[links.plain]
source.url = "postgresql://h/plain"
target.url = "mongodb://m/plain"
entities.todo.table = "todo"
"""
Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Path:
        file = tmp_path / "syncline.toml"
        file.write_text(text, "utf-8")
        return file

    return write


def test_a_pattern_stands_for_a_link_for_each_word(written: Written) -> None:
    file = written(FILE.replace("bakery_2nd", "bakery"))
    found = {one.link.name: one for one in load_links(file, {})}
    assert list(found) == ["shop_acme", "shop_bakery", "plain"]
    acme = found["shop_acme"]
    assert (acme.source.url, acme.target.database) == ("postgresql://h/shop_acme", "acme")
    assert (acme.source.view_name, acme.target.control_collection) == ("Outbox_shop_acme", "_syncline_shop_acme")
    assert [one.pattern for one in found.values()] == ["shop_*", "shop_*", None]
    assert load(file, {}, link="shop_bakery").target.database == "bakery"


def test_links_of_a_file_are_found_by_name_where_a_job_is_done(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = """
[source]
url = "postgresql://h/own"
[target]
url = "mongodb://m/own"
[entities.note]
table = "note"
"""
    file = written(nameless + FILE.replace("bakery_2nd", "bakery").replace("shop_*", "move_*"))
    monkeypatch.setenv("SYNCLINE_CONFIG", str(file))
    for name, database in (("", "own"), ("plain", "plain"), ("move_acme", "acme")):
        work = OfLink(name).work()
        assert (work.link.name, work.settings.target.database) == (name, database)
    with pytest.raises(ConfigError, match="no link 'others'"):
        OfLink("others").work()


def test_the_words_may_stand_in_a_file(written: Written, tmp_path: Path) -> None:
    (tmp_path / "shops.txt").write_text("# ours\nacme\n\n  bakery\n", "utf-8")
    file = written(FILE.replace('["acme", "bakery_2nd"]', '"shops.txt"'))
    assert [one.link.name for one in load_links(file, {})] == ["shop_acme", "shop_bakery", "plain"]


def test_a_link_that_is_written_out_is_left_as_it_is(written: Written) -> None:
    text = FILE.replace("bakery_2nd", "bakery").replace("[links.plain]", "[links.shop_acme]")
    found = {one.link.name: one for one in load_links(written(text), {})}
    assert found["shop_acme"].source.url == "postgresql://h/plain"
    assert found["shop_acme"].pattern is None
    assert len(found) == 2


def test_ways_and_ways_back_are_patterns_that_name_each_other(written: Written) -> None:
    text = """\
[links."there_*"]
each = ["acme", "bakery"]
source.url = "postgresql://old/{each}"
target.url = "postgresql://new/{each}"
entities.todo.table = "todo"
[links."back_*"]
each = ["acme", "bakery"]
reverse_of = "there_{each}"
source.url = "postgresql://new/{each}"
target.url = "postgresql://old/{each}"
entities.todo.table = "todo"
"""
    reverses = {one.link.name: one.link.reverse for one in load_links(written(text), {})}
    assert reverses["back_acme"] == "there_acme"
    assert reverses["there_bakery"] == "back_bakery"


def test_two_patterns_that_stand_for_the_same_link_are_refused_once(written: Written) -> None:
    text = FILE.replace("bakery_2nd", "bakery").replace(
        "[links.plain]", '[links."sho*"]\neach = ["p_acme", "p_bakery"]'
    )
    with pytest.raises(ConfigError) as raised:
        load_links(written(text), {})
    assert ":10: [links.'sho*'] and [links.'shop_*'] both stand for the link 'shop_acme'" in raised.value.message
    assert raised.value.message.count("\n") == 0


def test_variables_are_no_words(written: Written) -> None:
    text = FILE.replace("bakery_2nd", "bakery").replace("//h/shop_{each}", "//u:${each}@h/shop_{each}")
    assert load(written(text), {"each": "secret"}, link="shop_acme").source.url == "postgresql://u:secret@h/shop_acme"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("bakery_2nd", "bakery_2nd", ":2: each: 'bakery_2nd': 'shop_bakery_2nd' cannot name a link"),
        ("bakery_2nd", "Bakery", ":2: each: 'Bakery': 'shop_Bakery' cannot name a link"),
        ('["acme", "bakery_2nd"]', "[]", ":2: [links.'shop_*'] stands for no link"),
        ('["acme", "bakery_2nd"]', "7", ":2: [links.'shop_*'] is a pattern: write a list"),
        ('each = ["acme", "bakery_2nd"]\n', "", ":1: [links.'shop_*'] is a pattern: write a list"),
        ('["acme", "bakery_2nd"]', '"none.txt"', ":2: each = 'none.txt': it cannot be read"),
        ("shop_*", "*_*", ":2: '*_*': one * at most"),
        ('"shop_*"', "shops", ":2: unknown setting 'each' in [links.shops]"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(written: Written, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_links(written(FILE.replace(old, new)), {})
    assert said in raised.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "mongodb://m/{each}",
            "mongodb://m/one",
            ":7: link shop_bakery and link shop_acme both write to 'todo' of one",
        ),
        ('table = "todo"\n[', 'tabel = "todo"\n[', ":8: unknown setting 'tabel' in [links.shop_acme.entities.todo]"),
    ],
)
def test_what_is_wrong_with_every_link_of_a_pattern_is_said_once(
    written: Written, old: str, new: str, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load_links(written(FILE.replace("bakery_2nd", "bakery").replace(old, new)), {})
    assert said in raised.value.message
    assert raised.value.message.count("\n") == 0
