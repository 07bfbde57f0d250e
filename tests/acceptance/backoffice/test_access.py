"""Who may do what: on every route, counted in queries, and at once in every process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from backoffice.security import require_admin, require_permission, require_session
from fastapi import FastAPI
from fastapi.routing import APIRoute

from tests.acceptance.backoffice.conftest import Join
from tests.acceptance.backoffice.system import PASSWORD, Person, System, client, counted

PUBLIC = {"GET /api/health", "GET /metrics", "POST /api/auth/login"}
DOCUMENTS = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
OWN = {
    "POST /api/auth/logout",
    "GET /api/auth/me",
    "POST /api/auth/password",
    "GET /api/auth/sessions",
    "DELETE /api/auth/sessions/{session_id}",
}
"""Whoever has logged in may do these: they are about themselves."""


def routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    """Give every route of the application by its method and path."""
    found = 0
    for one in app.routes:
        inner = getattr(one, "original_router", None)  # FastAPI keeps routers as they were included
        for route in [one] if inner is None else inner.routes:
            assert isinstance(route, APIRoute) or route.path in DOCUMENTS, route
            if isinstance(route, APIRoute):
                found += 1
                yield f"{min(route.methods)} {route.path}", route
    assert found > 50


def guards(dependant: Any) -> Iterator[Any]:
    """Give what a route depends on, however deep."""
    for one in dependant.dependencies:
        yield one.call
        yield from guards(one)


def path_of(route: APIRoute) -> str:
    places = {
        one.name: {"database": "primary", "zone": "EU", "name": "x"}.get(one.name, "1")
        for one in route.dependant.path_params
    }
    return route.path.format(**places)


async def test_every_route_asks_for_a_session_and_for_a_permission(app: FastAPI, join: Join):
    visitor, nobody = client(app), await join()
    for name, route in routes(app):
        if name in PUBLIC:
            continue
        method = name.partition(" ")[0]
        answer = await visitor.request(method, path_of(route), json={})
        assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized"), name
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert require_session in set(guards(route.dependant)), name
        if name not in OWN:
            refused = await nobody.client.request(method, path_of(route), json={})
            assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden"), name
            asks = [one for one in guards(route.dependant) if isinstance(one, require_permission)]
            assert asks or require_admin in set(guards(route.dependant)), name


async def test_lists_of_what_is_public_name_no_other_route(app: FastAPI):
    assert {name for name, _ in routes(app)} >= PUBLIC | OWN


async def test_a_permission_opens_what_it_names_and_no_more(join: Join):
    reader = await join("users.read")
    await reader.get("/api/users")
    problem = await reader.get("/api/audit/primary", status=403)
    assert problem["permission"] == "audit.read"


async def test_bad_tokens(app: FastAPI):
    visitor = Person(app)
    for token in ("Bearer", "Bearer x", "Basic eDp5", "Bearer " + "x" * 7000, "Bearer é"):
        visitor.client.headers["Authorization"] = token
        await visitor.get("/api/auth/me", status=401)


async def test_log_in_tells_nobody_whether_there_is_an_account(app: FastAPI, join: Join):
    ann = await join()
    wrong = [
        await Person(app).post("/api/auth/login", {"email": email, "password": password}, status=401)
        for email, password in ((ann.email, "wrong password"), ("nobody@example.org", PASSWORD))
    ]
    assert wrong[0] == wrong[1]


async def test_attempts_are_limited(system: System):
    app = system.app(login_attempts=2)
    async with app.state.services.databases:
        guesser = Person(app)
        guess = {"email": guesser.email, "password": "a guess, and a wrong one"}
        for status in (401, 401, 429):
            await guesser.post("/api/auth/login", guess, status=status)


async def test_an_expired_session_is_over_even_while_it_is_kept(system: System, app: FastAPI, join: Join):
    ann = await join()
    await ann.get("/api/auth/me")
    kept = app.state.services.callers
    before = kept.counts.load
    query = "UPDATE sessions SET expires_at = now() + interval '200 ms' WHERE user_id = %s"
    system.ask("primary", query, ann.id)
    until = time.monotonic() + 30
    while (await ann.client.get("/api/auth/me")).status_code == 200:
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    assert kept.counts.load > before


async def ended(person: Person, path: str, status: int) -> None:
    """Wait until a request is answered so; the way of a revocation to another process takes milliseconds."""
    until = time.monotonic() + 30
    while (await person.client.get(path)).status_code != status:
        assert time.monotonic() < until, f"{path} is not {status}"
        await asyncio.sleep(0.005)


async def _logs_out(_: System, __: Person, ann: Person) -> None:
    await ann.send("POST", "/api/auth/logout", status=204)


async def _is_made_inactive(_: System, admin: Person, ann: Person) -> None:
    await admin.patch(f"/api/users/{ann.id}", {"active": False})


async def _gets_a_new_password(_: System, admin: Person, ann: Person) -> None:
    await admin.patch(f"/api/users/{ann.id}", {"password": "another horse battery"})


async def _loses_the_permission(_: System, admin: Person, ann: Person) -> None:
    role = (await admin.get(f"/api/users/{ann.id}"))["roleId"]
    await admin.patch(f"/api/roles/{role}", {"permissions": []})


async def _gets_another_role(_: System, admin: Person, ann: Person) -> None:
    role = await admin.post("/api/roles", {"name": f"nothing {ann.email}"})
    await admin.patch(f"/api/users/{ann.id}", {"roleId": role["id"]})


async def _is_changed_in_sql(system: System, _: Person, ann: Person) -> None:
    system.ask("primary", "UPDATE users SET active = false WHERE id = %s", ann.id)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (_logs_out, 401),
        (_is_made_inactive, 401),
        (_gets_a_new_password, 401),
        (_loses_the_permission, 403),
        (_gets_another_role, 403),
        (_is_changed_in_sql, 401),
    ],
)
async def test_it_counts_at_once_in_another_process(
    system: System,
    other: FastAPI,
    admin: Person,
    join: Join,
    change: Callable[[System, Person, Person], Awaitable[None]],
    status: int,
):
    """A second instance keeps the session, hears of the change, and does not wait for the 30 seconds."""
    ann = await join("users.read")
    there = ann.at(other)
    kept = other.state.services.callers
    until = time.monotonic() + 30
    while not kept.current:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    before = kept.counts.hit
    while kept.counts.hit == before:  # it is kept there, too
        assert time.monotonic() < until
        await there.get("/api/users?limit=1")
    await change(system, admin, ann)
    await ended(there, "/api/users?limit=1", status)


READS = {
    "/api/auth/me": 0,
    "/api/auth/sessions": 1,
    "/api/users": 1,
    "/api/users/{id}": 1,
    "/api/roles": 1,
    "/api/roles/permissions": 0,
    "/api/audit/primary": 1,
    "/api/audit/data": 0,
    "/api/organizations": 1,
    "/api/facilities": 1,
    "/api/integrations": 1,
    "/api/carriers": 0,
    "/api/delivery/offers?zone=EU&grams=1": 0,
    "/api/delivery/rates/1": 0,
    "/api/imports": 1,
    "/api/imports/1/rejects": 0,
    "/api/transforms": 0,
}
"""Queries that PRIMARY gets for a request of somebody whose session is kept: none is for the session."""


@pytest.mark.parametrize(("path", "most"), READS.items())
async def test_queries_that_primary_gets_for_a_route(app: FastAPI, admin: Person, path: str, most: int):
    me = await admin.get("/api/auth/me")
    statements = await steadily(app, lambda: admin.get(path.format(id=me["userId"])))
    assert len(statements) == most, statements
    assert not [one for one in statements if "token_digest" in one and path != "/api/auth/sessions"]


async def test_a_session_that_is_not_kept_takes_one_query(app: FastAPI, admin: Person):
    async def ask() -> None:
        app.state.services.callers._forget()
        await asyncio.gather(*(admin.get("/api/auth/me") for _ in range(20)))

    assert len(await steadily(app, ask, loads=1)) == 1


async def steadily(app: FastAPI, ask: Callable[[], Awaitable[Any]], loads: int = 0) -> list[str]:
    """List PRIMARY's statements while something is asked: at a time when the cache hears of revocations, and may keep.

    On a machine that stands still for a second it may not: then it is asked again.
    """
    counts, until = app.state.services.callers.counts, time.monotonic() + 60
    while True:
        before = counts.bypass, counts.load + loads
        with counted(app) as statements:
            await ask()
        if (counts.bypass, counts.load) == before:
            return statements
        assert time.monotonic() < until, statements
