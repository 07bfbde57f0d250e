"""Writes of a repository by the service, while the collection goes from MongoDB to PostgreSQL."""

from __future__ import annotations

from typing import Any

import bson
from bson import ObjectId

from syncline.phases import Phase
from syncline.phases.repositories import DualWrites
from syncline.phases.repositories.phased import phased
from tests.dual_write import TASKS


class Side:
    """A repository of one database."""

    collection_name, mapping, codec_options, is_async = "tasks", TASKS, bson.DEFAULT_CODEC_OPTIONS, False

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = {one["_id"]: one for one in documents}

    def get(self, id: Any) -> Any:  # noqa: A002
        return self.documents.get(id)

    def update(self, id: Any, changes: Any) -> Any:  # noqa: A002
        raise NotImplementedError


class Changing:
    """Phases, and the service: it waits until the gate lets it in, and that is PostgreSQL's."""

    def __init__(self, postgresql: Side) -> None:
        self.phase, self._postgresql = Phase.RAMP, postgresql

    def of(self, _collection: str) -> Phase:
        return self.phase

    def update_document(self, _collection: str, id_: Any, data: Any) -> bool:
        self.phase = Phase.LIVE
        self._postgresql.documents[id_] = {**self._postgresql.documents[id_], **data}
        return True


def test_an_update_answers_what_was_written_on_the_other_side():
    before = {"_id": ObjectId(), "title": "a"}
    mongodb, postgresql = Side(before), Side(before)
    changing = Changing(postgresql)
    both: Any = phased(mongodb, postgresql, changing, writer=DualWrites(changing))  # type: ignore[arg-type, type-var]
    assert both.update(before["_id"], {"title": "b"}) == {**before, "title": "b"}
