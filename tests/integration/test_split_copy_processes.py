"""``syncline split copy --processes N`` and ``--dask``: ranges of a move, carried over by others."""

from __future__ import annotations

import pytest

from syncline.copying.progress import Sizes
from syncline.executing import processes
from syncline.split.moving import links
from syncline.wiring.work import OfLink
from tests.integration.test_split_move import move

__all__ = ["move"]
pytestmark = [pytest.mark.engines, pytest.mark.slow]


def test_tables_are_copied_by_several_processes_and_the_move_goes_on(move, monkeypatch):
    monkeypatch.setattr(Sizes.__init__, "__defaults__", (200, 1 << 30))
    move.here.execute("ANALYZE carriers, prices, log")
    asked, run = [], processes.Processes.run

    async def seen(self, job):
        asked.append(job)
        return await run(self, job)

    monkeypatch.setattr(processes.Processes, "run", seen)
    found = move.json("copy", "--rate", "0", "--processes", "2")
    tables = {one["entity"]: one for one in found["tables"]}
    assert found["phase"] == "following"
    assert all(one["finished"] for one in tables.values())
    assert len(asked) == sum(one["ranges"] for one in tables.values()) > len(tables)
    assert move.difference() == []
    monkeypatch.setenv("SYNCLINE_CONFIG", str(move.folder / "syncline.toml"))
    for name, value in move.variables.items():
        monkeypatch.setenv(name, value)
    work = OfLink("move_data").work()
    assert (work.link.name, work.origin) == ("move_data", OfLink("move_data"))
    assert {one.name for one in work.settings.entities} == set(tables)
    secrets: list[str] = []
    assert links.settings_of_move(None, "move_data_back", secret=secrets.append) is not None
    assert {move.urls["data"], move.urls["primary"]} <= set(secrets)
    assert links.settings_of_move(None, "others") is None


def test_threads_and_processes_are_not_asked_for_at_once(move):
    assert "--processes does not go with --jobs" in move.refused("copy", "--processes", "2", "--jobs", "2")
