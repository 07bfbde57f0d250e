"""The oldest and a middle PostgreSQL: install, capture in every way, a worker, backfill, verify, doctor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncline.embedded.postgres import BINARIES_VARIABLE, PrivatePostgres
from tests import engines
from tests.integration.doctor_case import SETTLED, Clinic, clinic
from tests.versions import UnavailableError, binaries

pytestmark = pytest.mark.engines

SEEN = """
SELECT NOT EXISTS (SELECT FROM syncline.outbox) AND NOT EXISTS (SELECT FROM syncline.deferred)
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
def case(server: PrivatePostgres, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Clinic]:
    with engines.fresh_database(server.url) as url, clinic(url, mongo_url, mongo_db, tmp_path) as found:
        yield found


def titles(case: Clinic) -> dict[int, tuple[str, int]]:
    documents: Any = case.documents["album"].find()
    return {document["_id"]: (document["title"], len(document["tracks"])) for document in documents}


def test_what_is_written_arrives(case: Clinic) -> None:
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


def test_an_installation_is_healthy_and_idempotent(case: Clinic) -> None:
    assert "nothing to do" in case.run("install", "--yes")
    assert set(case.wrong()) <= {"workers", "indexes"}
    case.run("uninstall", "--yes")
    assert case.sql("SELECT to_regnamespace('syncline') IS NULL")[0][0]
