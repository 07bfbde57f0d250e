"""The clients of a process with several targets: one for each URL, closed by whoever has made them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.engines.mongo.clients import Clients
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import TargetError

URL, OTHER = "mongodb://127.0.0.1:1/a", "mongodb://other:secret@127.0.0.1:1/a"
SECOND = timedelta(seconds=1)


async def test_targets_of_one_url_share_a_client() -> None:
    clients = Clients()
    one = clients.client(URL, SECOND)
    assert clients.client(URL, SECOND) is one
    assert clients.client(OTHER, SECOND) is not one, "another user"
    assert clients.client(URL, 2 * SECOND) is not one, "another patience"
    await clients.close()


async def test_a_target_leaves_a_client_open_that_is_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    clients, closed = Clients(), []
    client = clients.client(URL, SECOND)
    real = client.close

    async def close() -> None:
        closed.append(client)
        await real()

    monkeypatch.setattr(client, "close", close)
    await MongoTarget(URL, "a", client=client).close()
    assert closed == []
    await clients.close()
    assert closed == [client]


async def test_a_url_that_is_none_keeps_no_other_from_its_client() -> None:
    clients = Clients()
    with pytest.raises(TargetError, match="not a usable MongoDB URL"):
        clients.client("mongodb://[::1", SECOND)
    clients.client(URL, SECOND)
    await clients.close()
