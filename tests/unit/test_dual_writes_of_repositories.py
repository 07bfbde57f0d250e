"""Writes of repositories by the dual write service: what they say when the answer cannot be read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from pymongo.errors import AutoReconnect

from syncline.errors import PhaseUnknownError, UnknownOutcomeError
from syncline.phases.repositories.dual import DualWrites
from tests.phase_switch import TASKS

REPOSITORY: Any = SimpleNamespace(mapping=TASKS, codec_options=CodecOptions(), collection_name="tasks")


class Service:
    """It writes."""

    def update_document(self, _collection: str, _id: Any, _data: Any) -> bool:
        return True


@pytest.mark.parametrize("error", [PhaseUnknownError("postgresql was not heard"), AutoReconnect("gone")])
def test_an_update_that_is_written_and_cannot_be_read_back_is_not_called_refused(error: Exception) -> None:
    def get(_: Any) -> Any:
        raise error

    writes: Any = DualWrites(Service())  # type: ignore[arg-type]
    with pytest.raises(UnknownOutcomeError, match="is written, and cannot be read back") as told:
        writes.update(REPOSITORY, "a", {"n": 1}, get=get)
    assert told.value.__cause__ is error
    with pytest.raises(type(error)):
        writes.update(REPOSITORY, "a", {}, get=get)
