"""Behind ``phased`` the writes of a wrapped collection ask MongoDB's gate, whether somebody has said so or not."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo import MongoClient

from syncline.capture.documents import wrap
from syncline.errors import MovedError
from syncline.model.documents import Collection, DocumentMapping
from syncline.phases import FixedPhases, Phase
from syncline.phases.repositories import MongoRepository, PostgresRepository, phased

MAPPING = DocumentMapping(Collection("tasks"))


class Tasks(MongoRepository):
    collection_name = "tasks"


class PostgresTasks(PostgresRepository):
    collection_name = "tasks"


class Gate(FixedPhases):
    """PostgreSQL has become the truth, and the phase is not known to have changed yet."""

    def admitted(self, collection: str) -> int:
        raise MovedError(f"{collection} is written in PostgreSQL")

    def holds(self, *_: Any) -> bool:
        raise AssertionError("nothing was admitted")


def tasks(phases: FixedPhases, **options: Any) -> Any:
    collection = wrap(MongoClient("mongodb://127.0.0.1:1", connect=False).shop.tasks, **options)
    return phased(Tasks(collection, MAPPING), PostgresTasks(None, MAPPING), phases)  # type: ignore[type-var]


def test_a_write_is_refused_by_the_gate_of_the_phases():
    found = tasks(Gate(Phase.RAMP))
    with pytest.raises(MovedError):
        found.mongodb.create({"title": "too late"})


def test_a_gate_that_was_given_stays():
    given = Gate(Phase.OFF)
    assert tasks(Gate(Phase.RAMP), gate=given).mongodb.collection.gate is given


def test_phases_that_are_no_gate_leave_the_collection_as_it_is():
    assert tasks(FixedPhases(Phase.RAMP)).mongodb.collection.gate is None
