"""The doctor looks at the standby of ``replica_url``, its check "replica"."""

from __future__ import annotations

import pytest

from syncline.config import Settings, SourceSettings, TargetSettings
from syncline.insight.checks import replica as doctors
from syncline.insight.checks.finding import Level, Subject
from syncline.postgres.connection import connect
from tests.integration.test_replica import both, paused, replicated  # noqa: F401  fixtures
from tests.standby import in_database

pytestmark = pytest.mark.engines


async def examined(pair, url):
    """What the doctor says of the replica."""
    settings = Settings(SourceSettings(url=pair.url, replica_url=url), TargetSettings(url="mongodb://h/", database="d"))
    async with await connect(pair.url) as primary:
        return [(one.level, one.message) for one in await doctors.replica(Subject(settings, primary, None))]


async def test_the_doctor_looks_at_the_replica(both, replicated, monkeypatch):  # noqa: F811  fixtures
    ((level, message),) = await examined(replicated, replicated.replica_url)
    assert (level, message.partition(",")[0]) == (Level.OK, "a standby of this source")
    assert await examined(replicated, "") == [], "there is none"
    ((level, message),) = await examined(replicated, replicated.url)
    assert (level, message) == (Level.CRITICAL, "replica_url leads to a server that is no standby")
    ((level, message),) = await examined(replicated, in_database(both[1], "/postgres"))
    assert (level, message) == (Level.CRITICAL, "replica_url leads to another cluster or database than url")
    ((level, message),) = await examined(replicated, "postgresql://postgres@127.0.0.1:1/d")
    assert (level, message.partition(":")[0]) == (Level.WARNING, "the replica cannot be reached")
    monkeypatch.setattr(doctors, "BEHIND_BYTES", 1000)
    paused(replicated, on=True)
    replicated.sql("UPDATE items SET v = 'later' WHERE id < 500")
    ((level, message),) = await examined(replicated, replicated.replica_url)
    assert (level, "bytes of log behind" in message) == (Level.WARNING, True)
