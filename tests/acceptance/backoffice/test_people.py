"""People, roles, sessions, the audit, health."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest
from backoffice.models import DataBase, PrimaryBase
from backoffice.seed import seed
from fastapi import FastAPI

from syncline.errors import NamedDatabaseError
from tests.acceptance.backoffice.conftest import Join
from tests.acceptance.backoffice.system import ADMIN, PASSWORD, Person, System, client, run


def test_each_side_has_its_own_tables(system: System):
    primary, data = system.tables("primary"), system.tables("data")
    assert {"users", "roles", "sessions", "organizations"} <= primary
    assert {"carriers", "delivery_rates"} <= data
    if system.split:
        assert primary & data == set()
    assert "up to date" in run("db", "status", env=system.environment)
    assert "do not differ" in run("db", "new", "primary", "-m", "nothing", env=system.environment)
    assert "do not differ" in run("db", "new", "data", "-m", "nothing", env=system.environment)


def test_no_migration_touches_the_other_sides_tables(system: System):
    assert "0 findings" in run("db", "check", env=system.environment)


async def test_health(system: System, app: FastAPI):
    health = (await client(app).get("/api/health")).json()
    assert health["status"] == "ok"
    assert health["mode"] == ("split" if system.split else "single")
    for name in ("primary", "data"):
        assert health["databases"][name]["up"]
        assert health["databases"][name]["latencyMs"] > 0
        assert health["databases"][name]["pool"]["size"] >= 1
    assert health["sessions"].keys() >= {"hitRate", "loads", "suppressed", "revocations", "current", "entries"}


async def test_health_says_which_database_is_away():
    nowhere = "postgresql://nobody@127.0.0.1:9/nowhere"
    app = System(nowhere, nowhere + "2").app()
    async with app.state.services.databases:
        answer = await client(app).get("/api/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "down")
        assert answer.json()["databases"]["data"] == {"up": False, "latencyMs": None, "pool": {**_EMPTY}}
        assert "127.0.0.1" not in answer.text
        refused = await client(app).get("/api/auth/me", headers={"Authorization": "Bearer x"})
        assert refused.status_code == 503
        assert "127.0.0.1" not in refused.text
        assert refused.headers["Retry-After"]


WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%roles%'"""
_EMPTY = {"size": 10, "inUse": 0, "idle": 0}


async def test_an_account_and_its_sessions(app: FastAPI, join: Join):
    ann = await join("customers.read")
    me = await ann.get("/api/auth/me")
    assert (me["email"], me["admin"], me["permissions"]) == (ann.email, False, ["customers.read"])
    phone = await Person(app, ann.email).log_in()
    listed = await ann.get("/api/auth/sessions")
    assert [one["current"] for one in listed] == [False, True]
    await ann.delete(f"/api/auth/sessions/{listed[0]['id']}")
    await ann.delete(f"/api/auth/sessions/{listed[0]['id']}", status=404)
    await phone.get("/api/auth/me", status=401)
    await ann.get("/api/auth/me")


async def test_a_new_password_ends_all_other_sessions(app: FastAPI, join: Join):
    ann = await join()
    phone = await Person(app, ann.email).log_in()
    new = "another horse battery"
    await ann.post("/api/auth/password", {"current": "not this one", "new": new}, status=403)
    await ann.post("/api/auth/password", {"current": PASSWORD, "new": new}, status=204)
    await ann.get("/api/auth/me")
    await phone.get("/api/auth/me", status=401)
    await Person(app, ann.email).log_in(new)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/auth/login", {"password": PASSWORD}, 401),
        ("/api/auth/password", {"current": PASSWORD, "new": "a third horse battery"}, 403),
    ],
    ids=["log in", "change it, too"],
)
async def test_a_password_that_is_changed_while_it_is_looked_at_is_good_for_nothing(
    app: FastAPI, join: Join, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, status: int
):
    ann = await join()
    passwords, new = app.state.services.passwords, "another horse battery"
    was = passwords.right

    async def right(given: str, stored: str | None) -> bool:
        found = await was(given, stored)
        monkeypatch.undo()
        await ann.post("/api/auth/password", {"current": PASSWORD, "new": new}, status=204)
        return found

    phone = await Person(app, ann.email).log_in()
    monkeypatch.setattr(passwords, "right", right)
    given = {**body, "email": ann.email} if path.endswith("login") else body
    await (Person(app, ann.email) if path.endswith("login") else phone).post(path, given, status=status)
    await phone.get("/api/auth/me", status=401)
    await Person(app, ann.email).log_in(new)


async def test_nobody_ends_the_session_of_another(join: Join):
    ann, eve = await join(), await join()
    (session,) = await ann.get("/api/auth/sessions")
    await eve.delete(f"/api/auth/sessions/{session['id']}", status=404)
    await ann.get("/api/auth/me")


async def test_people_and_roles(admin: Person, join: Join):
    ann = await join()
    assert (await admin.get("/api/users?limit=1"))["items"][0]["email"] == ann.email
    new = {"email": ann.email.upper(), "name": "Again", "password": PASSWORD, "roleId": 1}
    assert "taken" in (await admin.post("/api/users", new, status=409))["detail"]
    await admin.post("/api/users", {**new, "email": "new@example.org", "roleId": 2**40}, status=409)
    await admin.post("/api/users", {**new, "email": "nothing", "more": 1}, status=422)
    await admin.patch(f"/api/users/{2**40}", {"name": "Nobody"}, status=404)
    role = (await admin.get(f"/api/users/{ann.id}"))["roleId"]
    await admin.delete(f"/api/roles/{role}", status=409)
    await admin.post("/api/roles", {"name": "odd", "permissions": ["everything"]}, status=422)
    assert "users.read" in await admin.get("/api/roles/permissions")


async def test_the_last_administrator_stays(admin: Person, join: Join):
    me = await admin.get("/api/auth/me")
    ann = await join()
    role = (await admin.get(f"/api/users/{ann.id}"))["roleId"]
    problem = await admin.patch(f"/api/users/{me['userId']}", {"active": False}, status=409)
    assert "administrator" in problem["detail"]
    await admin.patch(f"/api/users/{me['userId']}", {"roleId": role}, status=409)
    await admin.get("/api/users")


async def test_two_administrators_cannot_take_each_other_away(system: System, admin: Person, join: Join):
    me = await admin.get("/api/auth/me")
    mine = (await admin.get(f"/api/users/{me['userId']}"))["roleId"]
    ann = await join()
    hers = (await admin.get(f"/api/users/{ann.id}"))["roleId"]
    await admin.patch(f"/api/users/{ann.id}", {"roleId": mine})
    await ann.get("/api/users")
    with psycopg.connect(system.primary) as holder:
        holder.execute("SELECT FROM roles WHERE admin FOR UPDATE")
        both = [
            asyncio.create_task(ann.client.patch(f"/api/users/{me['userId']}", json={"roleId": hers})),
            asyncio.create_task(admin.client.patch(f"/api/users/{ann.id}", json={"roleId": hers})),
        ]
        until = time.monotonic() + 60
        while system.ask("primary", WAITING) != [(2,)]:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
    answers = await asyncio.gather(*both)
    assert sorted(one.status_code for one in answers) in ([200, 403], [200, 409])
    if answers[0].status_code == 200:
        await ann.patch(f"/api/users/{me['userId']}", {"roleId": mine})
        await admin.patch(f"/api/users/{ann.id}", {"roleId": hers})


async def test_what_administrators_do_is_noted_and_nothing_secret_with_it(admin: Person, join: Join):
    ann = await join()
    await admin.patch(f"/api/users/{ann.id}", {"name": "Ann", "password": "another horse battery"})
    entry = (await admin.get("/api/audit/primary?limit=1"))["items"][0]
    assert (entry["action"], entry["subject"]) == ("user.changed", str(ann.id))
    assert entry["details"] == {"name": "Ann", "password": True}
    assert entry["requestId"]


async def test_a_change_that_fails_leaves_no_entry(admin: Person, join: Join):
    ann = await join()
    before = (await admin.get("/api/audit/primary?limit=1"))["items"][0]["id"]
    role = (await admin.get(f"/api/users/{ann.id}"))["roleId"]
    await admin.delete(f"/api/roles/{role}", status=409)
    assert (await admin.get("/api/audit/primary?limit=1"))["items"][0]["id"] == before


async def test_pages_give_every_record_once(admin: Person, join: Join):
    people = {(await join()).id for _ in range(3)}
    seen, before = list[int](), ""
    while len(seen) < 3:
        page = await admin.get(f"/api/users?limit=2{before}")
        seen += [one["id"] for one in page["items"]]
        before = f"&before={page['nextCursor']}"
    assert people <= set(seen)
    assert len(seen) == len(set(seen))


async def test_seeding_again_changes_nothing(system: System, app: FastAPI):
    async def content() -> list[Any]:
        await seed(app.state.services, ADMIN, "another horse battery", sample=True)
        tables = {"primary": ("users", "roles", "customers.organizations", "customers.facilities")}
        tables["data"] = ("carriers", "delivery_rates")
        return [system.ask(side, f"SELECT * FROM {name} ORDER BY 1, 2, 3") for side in tables for name in tables[side]]

    assert await content() == await content()
    assert system.ask(
        "data", "SELECT count(*) FROM delivery_rates r JOIN carriers ON id = carrier_id WHERE code = 'UPS'"
    ) == [(9,)]
    await Person(app, ADMIN).log_in()


async def test_large_bodies_are_refused(admin: Person):
    await admin.send("POST", "/api/roles", {"name": "x" * 300_000}, status=413)


async def test_the_openapi_document_has_an_example_for_everything_that_comes_in(app: FastAPI):
    document = app.openapi()
    for name, schema in document["components"]["schemas"].items():
        if schema.get("additionalProperties") is False:  # what comes in refuses unknown fields
            for field, about in schema["properties"].items():
                shown = {"examples", "default", "enum", "const", "$ref"} & set(about)
                assert shown, f"{name}.{field}"


def test_swapped_databases_are_found_at_the_start(system: System):
    if not system.split:
        pytest.skip("in single mode there is one")
    swapped = System(system.data, system.primary).databases()
    with swapped:
        swapped.declare("primary", PrimaryBase)
        swapped.declare("data", DataBase)
        with pytest.raises(NamedDatabaseError, match="PRIMARY_DATABASE_URL"):
            swapped.check()


async def test_the_database_itself_refuses_what_would_be_wrong(system: System):
    with pytest.raises(psycopg.errors.CheckViolation):
        system.ask("primary", "INSERT INTO customers.organizations (name, country) VALUES ('x', 'xx')")
