"""The view that people read: its name and place are settings; a name that is taken is never used (case 40)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.capture.postgres.install import options_of
from syncline.config import load
from syncline.errors import ConfigError, SourceError
from tests.cockroach.server import Simulator
from tests.integration.capture_case import Case, entity
from tests.integration.test_migrations import older

ENTITIES = (entity("item", "item"),)
TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
FOREIGN = {
    "table": 'CREATE TABLE public."Outbox" (id int)',
    "view": 'CREATE VIEW public."Outbox" AS SELECT 1 AS id',
    "view with a comment that looks like ours": (
        'CREATE VIEW public."Outbox" AS SELECT 1 AS id; COMMENT ON VIEW public."Outbox" IS \'Syncline: of the design team\''
    ),
    "materialised view": 'CREATE MATERIALIZED VIEW public."Outbox" AS SELECT 1 AS id',
    "sequence": 'CREATE SEQUENCE public."Outbox"',
}


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES) as made:
        made.sql(TABLE)
        yield made


def count(case: Case, place: str) -> int:
    return int(case.sql(f"SELECT count(*) FROM {place}")[0][0])


@pytest.mark.parametrize("kind", FOREIGN)
def test_case_40_a_name_that_is_taken_is_not_used(case: Case, kind: str) -> None:
    case.sql(FOREIGN[kind])

    with pytest.raises(SourceError, match=r'public\."Outbox" is there and is not Syncline') as error:
        case.install()
    assert "view_name" in str(error.value.hint)

    case.options = {"view_name": "Changes"}
    case.install()
    assert count(case, 'public."Changes"') == 0
    assert not case.plan().changes
    case.uninstall()
    assert case.sql("SELECT relname FROM pg_class WHERE relname IN ('Outbox', 'Changes')") == [("Outbox",)]


def test_the_view_moves_with_its_settings_and_goes(case: Case) -> None:
    case.install()
    case.sql("CREATE SCHEMA ops", "INSERT INTO item VALUES (1, 'a')")

    case.options = {"view_schema": "ops", "view_name": "what_changed"}
    assert case.install().summary == ['drop view public."Outbox"', "create view ops.what_changed"]
    assert case.sql("SELECT aggregate_type, aggregate_id, event_type FROM ops.what_changed") == [
        ("item", "1", "item.created")
    ]
    assert not case.plan().changes

    case.options = {"view_schema": None}
    assert case.install().summary == ["drop view ops.what_changed"]
    assert count(case, "syncline.changes") == 1
    assert not case.plan().changes


def test_a_view_of_the_users_on_ours_is_not_taken_for_ours(case: Case) -> None:
    case.install()
    case.sql("CREATE VIEW public.mine AS SELECT * FROM syncline.changes")

    assert not case.plan().changes
    with pytest.raises(SourceError, match=r"public\.mine would be dropped too"):
        case.uninstall()


def test_the_view_of_an_older_installation_is_kept_and_its_former_name_ends_with_the_previous_release(
    database: str,
) -> None:
    older(database)
    with Case(database, ()) as case:
        case.entities = [entity(name, name) for (name,) in case.sql("SELECT name FROM syncline.entity ORDER BY id")]
        before = count(case, 'public."Outbox"')

        case.install()
        assert count(case, 'public."Outbox"') == count(case, 'syncline."Outbox"') == before

        case.options = {"finish": True}
        case.install()
        assert count(case, 'public."Outbox"') == count(case, "syncline.changes") == before
        assert case.sql("SELECT to_regclass('syncline.\"Outbox\"')") == [(None,)]


def configuration(folder: Path, lines: str) -> Path:
    file = folder / "syncline.toml"
    file.write_text(f'[source]\nurl = "postgresql://u@h/d"\n{lines}\n[target]\nurl = "mongodb://h/d"\n')
    return file


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("", ("public", "Outbox")),
        ('view_schema = "ops"\nview_name = "changes"', ("ops", "changes")),
        ('view_schema = "off"', (None, "Outbox")),
    ],
)
def test_the_settings_say_where_it_is(tmp_path: Path, lines: str, place: tuple[str | None, str]) -> None:
    options = options_of(load(configuration(tmp_path, lines), env={}).source)

    assert (options.view_schema, options.view_name) == place


@pytest.mark.parametrize(
    "line", ['view_schema = "syncline"', 'view_schema = ""', 'view_name = ""', f'view_name = "{"x" * 64}"']
)
def test_settings_that_can_be_no_place_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=r"view_(schema|name)"):
        load(configuration(tmp_path, line), env={})


def test_cockroachdb_simulated_case_40_a_name_that_is_taken_is_not_used(cockroach: Simulator) -> None:
    with Case(cockroach.url, ENTITIES) as case:
        case.sql(TABLE, 'CREATE TABLE public."Outbox" (id int PRIMARY KEY)')

        with pytest.raises(SourceError, match="is not Syncline"):
            case.install()
        case.options = {"view_name": "changes"}
        case.install()
        assert count(case, "public.changes") == 0
        assert not case.plan().changes

        case.options = {"view_name": "what_changed"}
        assert case.install().summary == ["drop view public.changes", "create view public.what_changed"]
