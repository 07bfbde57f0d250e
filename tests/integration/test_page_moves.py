"""The steps of a move on the operations page, in a real browser: what is said there, for everybody, on a telephone too."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from syncline.model.json_names import Named
from syncline.web.auth import AdminCredential
from syncline.web.listening import Server, listening
from syncline.web.page import OperationsPage
from syncline.web.page import moves as watched
from tests import chromium
from tests.chromium import Tab
from tests.integration.test_page import nowhere
from tests.integration.test_page_browser import look_at, shows
from tests.pages import EVIL, TOKEN

STEP = "document.querySelector('.steps [aria-current=step]').textContent"
LINK = {"queue_size": 1200, "lag_seconds": 2.5, "workers": 1, "parked": 0, "copying": [], "held": []}
MOVE: Mapping[str, Any] = {
    "database": "data",
    "phase": "following",
    "home": "primary",
    "serving": "primary",
    "tables": ["public.carriers", "public.log"],
    "links": Named(primary={**LINK, "held": ["log"]}, data=LINK),
    "verified": [
        {"entity": "carriers", "table": "public.carriers", "verdict": "equal", "as_of": "2026-11-30T10:00:00+00:00", "since_the_copy": True},
        {"entity": "log", "table": "public.log", "verdict": "equal", "as_of": "2026-11-30T10:00:00+00:00", "since_the_copy": False},
    ],
    "guard": {"clean_seconds": 7200.0, "statements": 10, "findings": 1, "latest": f"join {EVIL}"},
    "way_back": [
        {"entity": "carriers", "tested_at": "2026-11-30T10:00:00+00:00", "problem": None},
        {"entity": "log", "tested_at": "2026-11-30T10:00:00+00:00", "problem": EVIL},
    ],
    "rehearsed": {"at": "2026-11-29T10:00:00+00:00", "seconds": 14.2, "switch_paused_ms": 80, "back_paused_ms": 90},
    "changes": [],
    "against": ["the move of public.log has stopped: `name` was renamed to called", "x" * 300],
    "next": "`syncline split switch data`, when nothing speaks against it",
    "forced": [{"at": "2026-11-30T10:00:00+00:00", "what": "switch", "reason": "a demo", "against": []}],
}  # fmt: skip


@asynccontextmanager
async def visited(found: list[Any]) -> AsyncIterator[Tab]:
    """Open a page that shows these moves."""

    async def read() -> list[Any]:
        return copy.deepcopy(found)

    page = OperationsPage(nowhere(), AdminCredential(TOKEN), pause=0.1, moves=read)
    server = Server(page, seconds=1)
    with listening("127.0.0.1", 0, option="--port") as sockets:
        async with page.running(), chromium.browser() as tab:
            serving = asyncio.create_task(server.serve(sockets=sockets))
            await tab.look()
            await tab.open(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/login#{TOKEN}")
            await tab.until("document.body.dataset.seen")
            yield tab
            await page.end_streams()
            server.should_exit = True
            await serving


async def test_where_a_move_stands_can_be_read_by_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        chromium.command()
    except chromium.UnavailableError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(watched, "EVERY_SECONDS", 0.1)
    found: list[Any] = [dict(MOVE), {"database": "other", "phase": None}]
    async with visited(found) as tab:
        await shows(tab, ".move h3", "data")
        assert await tab.run("document.querySelectorAll('.move').length") == 1, "what has not begun is not shown"
        assert await tab.text(".move .pill") == "following"
        assert await tab.run(STEP) == "follow: at present"
        rows = await tab.run(
            "[...document.querySelectorAll('.move tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
        )
        assert [row[:2] for row in rows] == [["public.carriers", "follows"], ["public.log", "stopped"]]
        assert "equal" in rows[0][2]
        assert "before the copy" not in rows[0][2]
        assert "before the copy, a way back or an alteration" in rows[1][2]
        assert EVIL in rows[1][3]
        assert await tab.run("window.pwned === undefined")
        told = await tab.text(".move")
        for words in (
            "1,200 changes waiting, 2.5 s of lag",
            "Speaks against a switch: the move of public.log has stopped: name was",
            "14 s",
            "a demo",
        ):
            assert words in told, told
        await look_at(tab)
        changes = [{"to": "data", "at": "2026-11-30T11:00:00+00:00", "number": 3, "paused_ms": 81}]
        found[0] |= {"phase": "switched", "serving": "data", "changes": changes, "against": []}
        await shows(tab, ".move .pill", "switched")
        assert await tab.run(STEP) == "switch: at present"
        assert "writers were paused for 81 ms" in await tab.text(".move dl")
        found[:] = [{"database": "data", "phase": None}]
        await tab.until("document.getElementById('moves-section').hidden")
        assert [one for one in tab.errors if "favicon" not in one] == []
