"""The oldest and a middle PostgreSQL: install, capture in every way, a worker, backfill, verify, doctor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.embedded.postgres import BINARIES_VARIABLE, PrivatePostgres
from tests import engines
from tests.bouncer import bouncer
from tests.debian import UnavailableError
from tests.integration import test_migrations
from tests.integration.capture_case import Case as Installed
from tests.integration.doctor_case import SETTLED, clinic
from tests.integration.doctor_case import Clinic as Case
from tests.versions import binaries

pytestmark = pytest.mark.engines

SEEN = """
SELECT NOT EXISTS (SELECT FROM syncline.waiting) AND NOT EXISTS (SELECT FROM syncline.deferred)
   AND NOT EXISTS (SELECT FROM syncline.task)
"""


@pytest.fixture(scope="module", params=[14, 16])
def server(request: pytest.FixtureRequest) -> Iterator[PrivatePostgres]:
    with pytest.MonkeyPatch.context() as patched:
        try:
            patched.setenv(BINARIES_VARIABLE, str(binaries(request.param)))
        except UnavailableError as error:
            pytest.skip(str(error))
        with engines.running_postgres() as found:
            yield found


@pytest.fixture
def case(server: PrivatePostgres, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Case]:
    with engines.fresh_database(server.url) as url, clinic(url, mongo_url, mongo_db, tmp_path) as found:
        yield found


def titles(case: Case) -> dict[int, tuple[str, int]]:
    documents: Any = case.documents["album"].find()
    return {document["_id"]: (document["title"], len(document["tracks"])) for document in documents}


def test_what_is_written_arrives(case: Case) -> None:
    case.sql("UPDATE syncline.meta SET package = package")
    case.start()
    case.run("backfill")
    case.until(SETTLED)
    case.sql("INSERT INTO album VALUES (100, 'new') ON CONFLICT (id) DO UPDATE SET title = 'conflict'")
    case.sql("UPDATE album SET title = upper(title) WHERE id <= 10")
    case.sql("DELETE FROM track WHERE album_id = 3")
    case.sql("DELETE FROM album WHERE id = 3")
    case.sql("TRUNCATE person")
    case.until(SEEN)
    rows = case.sql("SELECT id, title, (SELECT count(*) FROM track WHERE album_id = album.id) FROM album")
    assert titles(case) == {id_: (title, tracks) for id_, title, tracks in rows}
    assert case.documents["person"].count_documents({}) == 0
    assert "equal" in case.run("verify")


def test_an_installation_is_healthy_and_idempotent(case: Case) -> None:
    assert "nothing to do" in case.run("install", "--yes")
    assert set(case.wrong()) <= {"workers", "indexes"}
    case.run("uninstall", "--yes")
    assert case.sql("SELECT to_regnamespace('syncline') IS NULL")[0][0]


def test_behind_a_pooler_in_transaction_mode(case: Case) -> None:
    with bouncer(case.url) as url:
        case.configure(url)
        assert "nothing to do" in case.run("install", "--yes")
        case.start()
        case.run("backfill")
        case.until(SETTLED)
        case.sql("UPDATE album SET title = upper(title)")
        case.until(SEEN)
        assert "equal" in case.run("verify")
        case.stop()


def test_an_installation_of_the_first_schema_is_upgraded(server: PrivatePostgres) -> None:
    with engines.fresh_database(server.url) as one, engines.fresh_database(server.url) as another:
        test_migrations.older(one)
        with Installed(one, test_migrations.ENTITIES, finish=True) as old, Installed(another, old.entities) as new:
            old.install()
            new.sql(test_migrations.TABLES)
            new.install()
            assert test_migrations.catalog(one) == test_migrations.catalog(another)
            assert not old.plan().changes
