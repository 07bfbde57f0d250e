"""Several links in one file: how they are resolved, and what is refused, with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import sessionmaker

import syncline
from syncline.capture.events import record
from syncline.capture.postgres.functions import Function, Watch, trigger_functions
from syncline.capture.postgres.state import PresentFunction
from syncline.capture.sqlalchemy.commits import attach_tokens
from syncline.config import load, load_links
from syncline.errors import ConfigError
from syncline.model.entity import Column, TableName
from syncline.model.link import UNNAMED, Link, current, entered, problem_of
from syncline.postgres.sql import blocks, ours, script
from syncline.tokens.freshness import Freshness

FILE = """\
[source]
url = "postgresql://h/db"
[worker]
batch_size = 7
[links.a.target]
url = "mongodb://m/one"
[links.a.entities.todo]
table = "todo"
[links.b.target]
url = "mongodb://m/two"
[links.b.worker]
batch_size = 9
[links.b.entities.todo]
table = "todo"
"""


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> Path:
        file = tmp_path / "syncline.toml"
        file.write_text(text, "utf-8")
        return file

    return write


def complaint(file: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load_links(file, {})
    return f"{raised.value.message}\n{raised.value.hint or ''}"


def test_each_link_has_the_files_sections_and_its_own(written) -> None:
    a, b = load_links(written(FILE), {})
    assert (a.link, a.worker.batch_size, a.target.database) == (Link("a"), 7, "one")
    assert (b.link, b.worker.batch_size, b.target.database) == (Link("b"), 9, "two")
    assert (a.source.view_name, a.target.control_collection) == ("Outbox_a", "_syncline_a")
    assert a.source.url == b.source.url == "postgresql://h/db"


def test_a_file_without_links_has_the_one_without_a_name(written) -> None:
    file = written('[source]\nurl = "postgresql://h/db"\n[target]\nurl = "mongodb://m/x"\n')
    assert load(file, {}).link is UNNAMED
    assert load(file, {}).source.view_name == "Outbox"


def test_entities_beside_links_are_those_of_the_one_without_a_name(written) -> None:
    text = FILE + '[target]\nurl = "mongodb://m/three"\n[entities.todo]\ntable = "todo"\n'
    assert [one.link.name for one in load_links(written(text), {})] == ["", "a", "b"]


def test_a_link_is_chosen_by_its_name(written) -> None:
    file = written(FILE)
    assert load(file, {}, link="b").target.database == "two"
    with pytest.raises(ConfigError, match="has 2 links: a, b"):
        load(file, {})
    with pytest.raises(ConfigError, match="has no link 'c'"):
        load(file, {}, link="c")


def test_a_way_and_its_way_back_know_each_other(written) -> None:
    a, b = load_links(written(FILE + '[links.b]\nreverse_of = "a"\n'), {})
    assert (a.link.reverse, b.link.reverse) == ("b", "a")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('mongodb://m/two"', 'mongodb://m/one"', ":13: link b and link a both write to 'todo' of one"),
        ("[links.b.worker]", "[links.b.log]", ":11: unknown setting 'log' in [links.b]"),
        ("links.b.", "links.B.", ":9: 'B' cannot name a link"),
        ("links.b.", "links.target_x.", ":9: 'target_x' cannot name a link"),
        ("batch_size = 9", "batch_sise = 9", ":12: unknown setting 'batch_sise' in [links.b.worker]"),
        ("batch_size = 7", "batch_sise = 7", ":4: unknown setting 'batch_sise' in [worker]"),
        ("[links.b.worker]", '[links.b]\nreverse_of = "c"\n[links.b.worker]', ":12: reverse_of = 'c'"),
        ("[links.b.worker]", '[links.b]\nreverse_of = "b"\n[links.b.worker]', ":12: reverse_of = 'b'"),
        ("[links.b.worker]", '[links.b]\nreverse_of = ["a"]\n[links.b.worker]', ":12: reverse_of = ['a']"),
        ('[source]\nurl = "postgresql://h/db"', "source = 5", ":1: source: write a section, [source]"),
        ("postgresql://h/db", "postgresql://h/d@b", ":2: url of the source: user and password"),
        ("[links.b.worker]", '[links.b.source]\ncapture = "session"\n[links.b.worker]', ':12: [links.b]: capture = "s'),
        (
            "[links.b.worker]",
            '[links.b.source]\nview_name = "Outbox_a"\n[links.b.worker]',
            ":12: link b and link a both",
        ),
        ('two"', 'one"\ncontrol_collection = "_syncline_a"', ":11: link b and link a both keep their records"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(written, old: str, new: str, said: str) -> None:
    text = FILE.replace(old, new)
    if "collection" in new:
        text += 'collection = "other"\n'
    assert said in complaint(written(text))


@pytest.mark.parametrize("name", ["a", "a1", "old_shop", "x" * 24])
def test_names(name: str) -> None:
    assert problem_of(name) is None


@pytest.mark.parametrize(
    "name", ["", "A", "1", "a_1", "a__b", "_a", "a-b", "x" * 25, "target", "target_a", "sessions", "gate"]
)
def test_no_names(name: str) -> None:
    assert problem_of(name) is not None


def test_schemas_of_ours_are_no_links() -> None:
    root = Path(syncline.__file__).parent
    texts = [file.read_text("utf-8") for file in root.rglob("*.sql")]
    found = {name for text in texts for name in re.findall(r"CREATE SCHEMA (?:IF NOT EXISTS )?syncline_(\w+)", text)}
    assert {"gate", "sessions"} <= found
    assert [name for name in found if problem_of(name) is None] == []


RING = """\
[links.{a}]
source.url = "postgresql://h/{one}"
target.url = "postgresql://h/{two}"
entities.item.table = "item"
"""


def ring(*databases: str, end: str = "") -> str:
    pairs = zip(databases, (*databases[1:], databases[0]), strict=True)
    return "".join(RING.format(a=f"to_{two}", one=one, two=two) for one, two in pairs) + end


@pytest.mark.parametrize("databases", [("x", "y"), ("x", "y", "z")])
def test_a_ring_of_links_is_refused(written, databases: tuple[str, ...]) -> None:
    said = complaint(written(ring(*databases)))
    assert "comes back to public.item" in said
    assert "reverse_of" in said
    chain = ring(*databases).rpartition("[links.")[0]
    assert len(load_links(written(chain), {})) == len(databases) - 1


def test_a_way_and_its_way_back_are_a_ring_that_is_none(written) -> None:
    assert len(load_links(written(ring("x", "y", end='reverse_of = "to_y"\n')), {})) == 2
    with pytest.raises(ConfigError, match="comes back"):
        load_links(written(ring("x", "y", "z", end='reverse_of = "to_y"\n')), {})


@pytest.mark.parametrize(
    "use",
    [
        lambda: attach_tokens(sessionmaker(), links=["Search"]),
        lambda: Freshness("postgresql://h/db", link="Search"),
        lambda: record(None, "todo.done", 1, link="Search"),  # type: ignore[arg-type]
    ],
    ids=["tokens", "freshness", "event"],
)
def test_a_link_that_cannot_be_is_refused_where_it_is_named(use: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="'Search' cannot name a link"):
        use()


def test_settings_that_all_links_share_keep_their_names() -> None:
    with entered(Link("far")):
        assert ours("current_setting('syncline.gate_link', true)") == "current_setting('syncline.gate_link', true)"
        assert ours("current_setting('syncline.passed', true)") == "current_setting('syncline.passed', true)"


def test_a_function_that_gets_a_way_back_has_missed_nothing() -> None:
    """Writes of the way back came from the target; anything else that is otherwise is a gap."""
    watch = Watch(1, TableName("public", "item"), (Column("id", "bigint", "int8", 20),))
    for by_row in (False, True):
        plain = trigger_functions(watch, by_row=by_row)
        with entered(Link("", reverse="back")):
            passing = trigger_functions(watch, by_row=by_row)
        for one, other in zip(plain, passing, strict=True):
            there = PresentFunction(one.name, one.body, True, _settings(one), one.volatility, (), True)
            assert one.body != other.body
            assert not there.fits(other)
            assert there.missed_nothing(other)
            assert not replace(there, body=one.body.replace("BEGIN", "BEGIN NULL;")).missed_nothing(other)


def _settings(function: Function) -> list[str]:
    return [f"{name}={value}" for name, value in function.settings.items()]


def test_texts_are_those_of_the_link_at_hand() -> None:
    plain = script("schema.sql")
    with entered(Link("far")):
        named = script("schema.sql")
        assert "syncline." not in named.replace("syncline.traceparent", "")
        assert "pg_notify('syncline_far', '')" in named
        assert f"({Link('far').wake_lock[0]}, {Link('far').wake_lock[1]})" in named
        assert ours("SELECT FROM syncline.outbox") == "SELECT FROM syncline_far.outbox"
        assert "syncline_far.mark(" in blocks("queries.sql")["mark"]
        assert "syncline_far.deferred" in blocks("queries.sql")["promote_deferred"]
    assert current() is UNNAMED
    assert script("schema.sql") == plain
    assert "syncline_far" not in blocks("queries.sql")["mark"]


def test_links_have_different_locks() -> None:
    assert len({Link(name).wake_lock for name in ("", "a", "b", "there", "back")}) == 5
