"""The operations page without a browser: who gets in, what can be done from where, and databases that are down."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from syncline.cli.serve import _announce
from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.embedded.postgres import PrivatePostgres
from syncline.model.link import Link
from syncline.web.auth import AdminCredential
from syncline.web.page import OperationsPage
from syncline.web.page.pages import NAMELESS, Pages
from tests.cockroach.server import Simulator
from tests.pages import EVIL, TOKEN, park
from tests.relay import Relay, relayed, until

SITE = "http://page.example"
SOON = 60


@contextlib.asynccontextmanager
async def visitor(page: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url=SITE) as client:
        yield client


async def log_in(client: httpx.AsyncClient, base: str = "/") -> str:
    """Log in; return the form token."""
    answer = await client.post(f"{base}login", data={"credential": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, base)
    page = await client.get(base)
    assert page.status_code == 200
    return page.text.split('name="syncline-form" content="')[1].split('"')[0]


@pytest.fixture
async def relay(database: str, mongo_url: str, mongo_db: str) -> AsyncIterator[Relay]:
    async with relayed(database, (mongo_url, mongo_db), grace=timedelta(seconds=60)) as relay:
        yield relay


def patient(relay: Relay) -> OperationsPage:
    """Make a page that a busy machine keeps waiting: every limit of its own is far away."""
    settings = relay.settings
    waits = settings.source.model_copy(update={"connect_timeout": timedelta(seconds=SOON)})
    soon = timedelta(seconds=SOON)
    page = OperationsPage(replace(settings, source=waits), AdminCredential(TOKEN), pause=0.1, deadline=soon)
    page._records._patience.seconds = SOON
    return page


@pytest.fixture
async def page(relay: Relay) -> AsyncIterator[OperationsPage]:
    page = patient(relay)
    async with page.running():
        yield page


@pytest.fixture
async def client(page: OperationsPage) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(page) as client:
        yield client


def nowhere(**source: Any) -> Settings:
    """Settings that lead to no server."""
    return Settings(
        SourceSettings(url="postgresql://127.0.0.1:1/none", **source),
        TargetSettings(url="mongodb://127.0.0.1:1/none", database="none", connect_timeout=timedelta(seconds=0.2)),
    )


ROUTES = [
    ("GET", "/state"), ("GET", "/events"), ("GET", "/parked"), ("GET", "/parked/1"), ("POST", "/parked/retry"),
    ("POST", "/parked/discard"), ("POST", "/logout"),
]  # fmt: skip


async def test_nobody_sees_or_does_anything_without_a_session():
    async with visitor(OperationsPage(nowhere(), AdminCredential(TOKEN))) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        for cookie in (None, "1.x.0.99999999999." + "0" * 64, TOKEN):
            headers = {"Cookie": f"syncline_session={cookie}"} if cookie else {}
            for method, path in ROUTES:
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == 401, path
                assert answer.json()["detail"] == "this session is over"


@pytest.mark.parametrize("given", ["", "None", TOKEN])
async def test_nobody_gets_in_while_no_credential_is_set(given: str):
    async with visitor(OperationsPage(nowhere(), AdminCredential(None))) as client:
        answer = await client.get("/login")
        assert (answer.status_code, "SYNCLINE_ADMIN_TOKEN" in answer.text) == (403, True)
        answer = await client.post("/login", data={"credential": given})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_of_several_links_each_login_that_is_told_is_there(capsys: pytest.CaptureFixture[str]):
    one = nowhere()
    links = [replace(one, source=one.source.of_link(Link("near"))), one]
    async with visitor(Pages(links, AdminCredential(TOKEN))) as client:
        _announce("127.0.0.1", 80, TOKEN, [one.link.name or NAMELESS for one in links])
        told = re.findall(r"or open (\S+)#", re.sub(r"\s*\n\s*(?=http)", " ", capsys.readouterr().out))
        assert told == ["http://127.0.0.1:80/near/login", "http://127.0.0.1:80/_/login"]
        assert [(await client.get(address.removeprefix("http://127.0.0.1:80"))).status_code for address in told] == [
            200
        ] * 2


async def test_the_cookie_of_a_session_is_out_of_reach_and_is_not_the_credential():
    async with visitor(OperationsPage(nowhere(), AdminCredential(TOKEN))) as client:
        wrong = await client.post("/login", data={"credential": TOKEN + "x"})
        assert (wrong.status_code, wrong.headers.get("set-cookie")) == (403, None)
        assert "not the admin credential" in wrong.text
        right = await client.post("/login", data={"credential": f" {TOKEN}\n"})
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert "Secure" not in cookie
        answer = await client.post(SITE.replace("http", "https") + "/login", data={"credential": TOKEN})
        assert "Secure" in answer.headers["set-cookie"], "over TLS it never goes in the clear"


async def test_log_out_ends_the_session_for_every_copy_of_its_cookie():
    async with visitor(OperationsPage(nowhere(), AdminCredential(TOKEN))) as client:
        token = await log_in(client)
        copy = client.cookies["syncline_session"]
        answer = await client.post("/logout", headers={"X-Syncline-Form": token})
        assert answer.status_code == 204
        assert "syncline_session" not in client.cookies
        answer = await client.get("/parked", headers={"Cookie": f"syncline_session={copy}"})
        assert answer.status_code == 401


async def test_every_answer_forbids_what_is_not_ours():
    async with visitor(OperationsPage(nowhere(), AdminCredential(TOKEN))) as client:
        await log_in(client)
        for path in ("/", "/login", "/parked/x", "/static/page.js", "/nothing"):
            headers = (await client.get(path)).headers
            assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")


STRANGE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example"},
    {"Origin": "null"}, {"Origin": "http://["}, {"Sec-Fetch-Site": "cross-site", "Origin": SITE},
]  # fmt: skip


async def test_another_site_can_neither_act_nor_log_in(relay: Relay, client: httpx.AsyncClient):
    record = park(relay, "1")
    token = await log_in(client)
    for headers in [*({"X-Syncline-Form": token} | strange for strange in STRANGE), {}, {"X-Syncline-Form": "x"}]:
        for action in ("retry", "discard"):
            answer = await client.post(f"/parked/{action}", json={"ids": [record]}, headers=headers)
            assert answer.status_code == 403, headers
    assert (relay.counts()["parked"], relay.counts()["outbox"], relay.notices()) == (1, 0, [])
    client.cookies.clear()
    for headers in STRANGE:
        answer = await client.post("/login", data={"credential": TOKEN}, headers=headers)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)
    assert (await client.post("/login", data={"credential": TOKEN}, headers={"Origin": SITE})).status_code == 303


async def test_a_record_is_retried_or_discarded_and_a_notice_says_who_asked(relay: Relay, client: httpx.AsyncClient):
    ids = [park(relay, str(number)) for number in range(4)]
    mine = {"X-Syncline-Form": await log_in(client)}
    answer = await client.post("/parked/retry", json={"ids": ids[:2]}, headers=mine)
    assert answer.json() == {"records": 2}
    assert relay.sql("SELECT key, hint::text FROM syncline.waiting ORDER BY key") == [("0", "R"), ("1", "R")]
    answer = await client.post("/parked/discard", json={"ids": [ids[3], 999]}, headers=mine)
    assert answer.json() == {"records": 1}
    assert set(relay.parked()) == {"0", "1", "2"}
    told = [
        text for (text,) in relay.sql("SELECT message FROM syncline.notice WHERE name = 'OperationsPage' ORDER BY id")
    ]
    assert [text.split(" asked to ")[1] for text in told] == [
        "retry 2 parked records of item: 0, 1",
        "discard 1 parked records of item: 3",
    ]
    state = (await client.get("/state")).json()["state"]
    assert [row["key"] for row in state["parked"]["rows"]] == ["0", "1", "2"], "the page knows it at once"


BODIES = [
    (b"", 422), (b"{", 422), (b"[]", 422), (b'{"ids": []}', 422), (b'{"ids": "1"}', 422), (b'{"ids": [0]}', 422),
    (b'{"ids": [1.5]}', 422), (b'{"ids": [true]}', 422), (b'{"ids": [9223372036854775808]}', 422),
    (b'{"ids": [{"$gt": ""}]}', 422), (b'{"ids": [' + b",".join([b"1"] * 501) + b"]}", 422),
    (b" " * 70_000, 413), (b'{"ids": [9223372036854775807]}', 200),
]  # fmt: skip


async def test_a_strange_body_is_refused_with_a_reason(client: httpx.AsyncClient):
    mine = {"X-Syncline-Form": await log_in(client)}
    for body, status in BODIES:
        answer = await client.post("/parked/discard", content=body, headers=mine)
        assert answer.status_code == status, body[:50]
        assert status == 200 or answer.json()["detail"]


async def test_unknown_records_and_actions_are_not_found(relay: Relay, client: httpx.AsyncClient):
    mine = {"X-Syncline-Form": await log_in(client)}
    assert (await client.get("/parked/12345")).status_code == 404
    assert (await client.get(f"/parked/{10**30}")).status_code == 404
    assert (await client.post("/parked/drop", json={"ids": [1]}, headers=mine)).status_code == 404
    for after in ("x", "-1", "1" * 30, "٣"):
        assert (await client.get("/parked", params={"after": after})).status_code == 422


async def test_many_parked_records_are_read_page_by_page(relay: Relay, client: httpx.AsyncClient):
    ids = [park(relay, str(number)) for number in range(70)]
    await log_in(client)
    rows = (await client.get("/parked")).json()["rows"]
    assert [row["id"] for row in rows] == ids[:50]
    rows = (await client.get("/parked", params={"after": rows[-1]["id"]})).json()["rows"]
    assert [row["id"] for row in rows] == ids[50:]


async def test_a_parked_record_is_shown_with_its_payload_its_row_and_its_document(
    relay: Relay, client: httpx.AsyncClient
):
    relay.sql("INSERT INTO item VALUES (7, %s, 3)", EVIL)
    record = park(relay, "7", error=EVIL, payload='{"title": "x"}')
    await log_in(client)
    answer = await client.get(f"/parked/{record}")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (found["payload"], found["error"]) == ('{"title": "x"}', EVIL)
    assert found["row"] == {"id": 7, "name": EVIL, "qty": 3}
    assert found["document"] is None
    assert found["verdict"].startswith("Parked after 1 try,")


async def test_a_retry_reaches_a_worker(database: str, mongo_url: str, mongo_db: str):
    numbers = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty numeric)"
    async with relayed(database, (mongo_url, mongo_db), ddl=numbers, grace=timedelta(seconds=60)) as relay:
        page = patient(relay)
        async with relay.worker(), page.running(), visitor(page) as client:
            relay.sql("INSERT INTO item VALUES (1, 'x', %s::numeric)", "9" * 40)
            await until(lambda: relay.parked() == {"1": "mapping"}, seconds=SOON)
            mine = {"X-Syncline-Form": await log_in(client)}
            ids = list(relay.sql("SELECT id FROM syncline.parked")[0])
            answer = await client.post("/parked/retry", json={"ids": ids}, headers=mine)
            assert (answer.status_code, answer.json()) == (200, {"records": 1})
            await until(lambda: relay.value("SELECT retry_count FROM syncline.parked") == 2, seconds=SOON)


async def test_it_shows_a_source_that_behaves_like_cockroachdb(cockroach: Simulator, mongo_url: str, mongo_db: str):
    async with relayed(cockroach.url, (mongo_url, mongo_db), grace=timedelta(seconds=60)) as relay:
        with psycopg.connect(cockroach.postgres_url, autocommit=True) as behind:
            behind.execute("SET search_path = public, crdb_sim, pg_catalog")
            behind.execute("SET crdb.retry_p = 0")
            relay.conn.close()
            relay.conn = behind
            record = park(relay, "7")
            page = patient(relay)
            async with page.running(), visitor(page) as client:
                mine = {"X-Syncline-Form": await log_in(client)}
                await until_state(client, {"cockroachdb": "connected", "mongodb": "connected"})
                state = (await client.get("/state")).json()["state"]
                assert [entity["name"] for entity in state["entities"]] == ["item"]
                assert [row["key"] for row in state["parked"]["rows"]] == ["7"]
                assert (await client.get(f"/parked/{record}")).json()["error"] == "too large"
                answer = await client.post("/parked/discard", json={"ids": [record]}, headers=mine)
                assert answer.json() == {"records": 1}
                assert relay.parked() == {}


async def test_it_can_be_mounted_below_a_path(relay: Relay):
    app = FastAPI()
    app.mount("/admin/ops", OperationsPage(relay.settings, AdminCredential(TOKEN)))
    async with visitor(app) as client:
        answer = await client.get("/admin/ops/")
        assert answer.headers["location"] == "/admin/ops/login"
        await log_in(client, "/admin/ops/")
        assert "Path=/admin/ops/" in (await client.get("/admin/ops/")).headers["set-cookie"]
        assert (await client.get("/admin/ops/static/page.js")).status_code == 200
        await until_state(client, {"postgresql": "connected", "mongodb": "connected"}, "/admin/ops/")
        (page,) = (route.app for route in app.routes if getattr(route, "path", "") == "/admin/ops")
        await page.watch.close()


@pytest.mark.parametrize("trouble", ["killed", "frozen"])
async def test_the_page_answers_while_a_database_is_down_and_says_which(
    private_postgres: PrivatePostgres, mongo_url: str, mongo_db: str, trouble: str
):
    async with relayed(private_postgres.url, (mongo_url, mongo_db), grace=timedelta(seconds=60)) as relay:
        page = OperationsPage(relay.settings, AdminCredential(TOKEN), pause=0.1)
        async with page.running(), visitor(page) as client:
            token = await log_in(client)
            page._records._patience.seconds = 3
            await until_state(client, {"postgresql": "connected", "mongodb": "connected"})
            private_postgres.kill() if trouble == "killed" else private_postgres.freeze()
            await until_state(client, {"postgresql": "disconnected", "mongodb": "connected"})
            assert (await client.get("/")).status_code == 200
            state = (await client.get("/state")).json()
            assert state["state"]["status"] == "unhealthy"
            assert state["state"]["sync"]["queueSize"] is None
            assert state["history"]["points"][-1][-2] is False
            mine = {"X-Syncline-Form": token}
            acting = client.post("/parked/retry", json={"ids": [1]}, headers=mine)
            for answer in await asyncio.gather(client.get("/parked"), acting):
                assert answer.status_code == 503
                assert answer.json()["hint"]
            private_postgres.start() if trouble == "killed" else private_postgres.thaw()
            await until_state(client, {"postgresql": "connected", "mongodb": "connected"})


async def test_with_nothing_to_be_reached_the_page_still_answers():
    page = OperationsPage(nowhere(), AdminCredential(TOKEN), pause=0.1)
    async with page.running(), visitor(page) as client:
        await log_in(client)
        await until_state(client, {"postgresql": "disconnected", "mongodb": "disconnected"})


async def states(client: httpx.AsyncClient, base: str = "/") -> dict[str, str]:
    databases = (await client.get(f"{base}state")).json().get("state", {}).get("databases", {})
    return {name: database["state"] for name, database in databases.items()}


async def until_state(client: httpx.AsyncClient, wanted: dict[str, str], base: str = "/") -> None:
    async with asyncio.timeout(SOON):
        while await states(client, base) != wanted:
            await asyncio.sleep(0.05)
