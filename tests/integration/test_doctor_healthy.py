"""A healthy installation has no finding, whatever the doctor can find elsewhere; and looking changes nothing."""

from __future__ import annotations

import json

import pytest

from tests import engines
from tests.integration.doctor_case import UNTOUCHED, clinic
from tests.integration.doctor_case import Clinic as Case


@pytest.fixture
def case(database, mongo_url, mongo_db, tmp_path):
    with clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


def test_with_a_worker_everything_is_well(case: Case) -> None:
    case.start()
    case.settled()
    case.well()
    assert "all 64 lanes owned" in case.run("doctor")
    assert case.run("doctor", "--quiet").strip() == ""
    assert json.loads(case.run("doctor", "--json"))["level"] == "ok"


def test_right_after_an_installation_only_the_worker_is_missing(case: Case) -> None:
    assert case.wrong().keys() == UNTOUCHED
    case.cured(case.found("indexes", "warning", "album(title)"))
    case.settled()
    case.well()


def test_a_database_without_an_installation(database, mongo_url, mongo_db, tmp_path) -> None:
    with clinic(database, mongo_url, mongo_db, tmp_path, installed=False) as case:
        case.cured(case.found("installation", "critical", "not installed"))


@pytest.mark.engines
def test_looking_changes_nothing_on_either_side(mongo_url, mongo_db, tmp_path) -> None:
    """No transaction of the whole server got an id meanwhile, and MongoDB has the same documents as before."""
    with (
        engines.running_postgres(settings={"autovacuum": "off"}) as server,
        clinic(server.url, mongo_url, mongo_db, tmp_path) as case,
    ):
        case.start()
        case.settled()
        case.stop()
        before = _everything(case)
        case.report()
        assert _everything(case) == before


def _everything(case: Case) -> object:
    names = sorted(case.documents.list_collection_names())
    documents = {name: sorted(map(repr, case.documents[name].find())) for name in names}
    return case.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text"), documents
