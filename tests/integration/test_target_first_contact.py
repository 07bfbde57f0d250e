"""Whatever a target is asked first, a server that is not there is an outage that can be waited for, never a defect."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import TargetUnavailableError
from tests.relay import ITEM


@pytest.fixture
async def absent(tmp_path: Path) -> AsyncIterator[MongoTarget]:
    """A target whose server is not listening."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "mongo.sock"))
        url = f"mongodb://{quote(str(tmp_path / 'mongo.sock'), safe='')}/?directConnection=true"
        moment = timedelta(seconds=0.3)
        target = MongoTarget(url, "x", timeout=moment, connect_timeout=moment)
        yield target
        await target.close()


async def _walked(pages: AsyncIterator[Any]) -> None:
    async for _ in pages:
        pass


CALLS: dict[str, Callable[[MongoTarget], Awaitable[Any]]] = {
    "walk": lambda target: _walked(target.walk(ITEM)),
    "walk_ids": lambda target: _walked(MongoInspection(target).walk_ids(ITEM)),
    "read_encoded": lambda target: MongoInspection(target).read_encoded(ITEM, [1]),
    "read": lambda target: target.read(ITEM, [1]),
    "lane_epochs": MongoTarget.lane_epochs,
    "read_beat": MongoTarget.read_beat,
    "ping": MongoTarget.ping,
}


@pytest.mark.parametrize("call", CALLS)
async def test_the_first_call_of_all(absent: MongoTarget, call: str) -> None:
    with pytest.raises(TargetUnavailableError):
        await CALLS[call](absent)
