"""Accounts, profiles, the leaderboard, search."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import psycopg
import pytest
from fastapi import FastAPI
from studybuddy.routes import users

from tests.acceptance.studybuddy.conftest import Join
from tests.acceptance.studybuddy.system import PASSWORD, Person, System, client, serving


async def test_register_log_in_and_out(app: FastAPI) -> None:
    ann = await Person(app).join(avatar="https://example.org/ann.png")
    own = await ann.get("/api/users/me")
    assert own["createdAt"].endswith("Z")
    assert own == {
        "id": ann.id,
        "email": ann.email,
        "username": ann.username,
        "avatar": "https://example.org/ann.png",
        "totalPoints": 0,
        "showProfile": True,
        "createdAt": own["createdAt"],
    }
    await ann.send("POST", "/api/auth/logout", status=204)
    problem = await ann.get("/api/users/me", status=401)
    assert problem["detail"] == "this log-in has ended; log in again"


async def test_log_ins_end_one_by_one(ann: Person) -> None:
    phone = dict(ann.client.headers)
    await ann.log_in()
    await ann.send("POST", "/api/auth/logout", status=204)
    ann.client.headers.update(phone)
    await ann.get("/api/users/me")


async def test_the_password_is_stored_as_a_hash_and_only_in_the_primary(system: System, ann: Person) -> None:
    await system.synced(ann.token)
    ((stored,),) = system.sql("SELECT password_hash FROM users WHERE id = %s", ann.id)
    assert stored.startswith("$argon2id$")
    (document,) = system.documents("users", {"_id": ann.id})
    assert set(document) == {
        *("_id", "_originalId", "_source", "_syncedAt", "_v", "avatar", "createdAt", "email"),
        *("showProfile", "totalPoints", "username", "usernameKey"),
    }
    events = json.dumps(system.events("user", ann.id))
    assert "argon2" not in events
    assert PASSWORD not in events


@pytest.mark.parametrize("change", [str.upper, str])
async def test_names_and_addresses_are_taken_whatever_their_case(app: FastAPI, ann: Person, change: type) -> None:
    bob = Person(app)
    new = {"email": change(ann.email), "username": bob.username, "password": PASSWORD}
    assert (await bob.post("/api/users", new, status=409))["detail"] == "this email address is taken"
    new = {"email": bob.email, "username": change(ann.username), "password": PASSWORD}
    assert (await bob.post("/api/users", new, status=409))["detail"] == "this username is taken"


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(app: FastAPI, ann: Person) -> None:
    answers = []
    for email in (ann.email, "nobody@example.org"):
        response = await client(app).post("/api/auth/login", json={"email": email, "password": "wrong password"})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        answers.append({**response.json(), "correlationId": None})
    assert answers[0] == answers[1]


async def test_guessing_is_slowed_down_and_others_are_not_locked_out(app: FastAPI, ann: Person) -> None:
    wrong = {"email": ann.email, "password": "wrong password"}
    attacker = client(app, "203.0.113.9")
    guesses = await asyncio.gather(*(attacker.post("/api/auth/login", json=wrong) for _ in range(12)))
    statuses = [guess.status_code for guess in guesses]
    assert statuses.count(401) <= 5
    assert statuses.count(429) >= 7
    right = {"email": ann.email, "password": PASSWORD}
    refused = await attacker.post("/api/auth/login", json=right)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    await ann.log_in()


async def test_who_logs_in_may_log_in_again(ann: Person) -> None:
    for _ in range(12):
        await ann.log_in()


async def test_change_the_profile(system: System, ann: Person) -> None:
    name = f"{ann.username}.new"
    changed = await ann.patch("/api/users/me", {"username": name, "avatar": "https://example.org/a.png"})
    assert (changed["username"], changed["email"]) == (name, ann.email)
    seen = await ann.look(f"/api/users/{ann.id}", fresh=True)
    assert seen.headers["Data-Source"] == "mongodb"
    assert seen.json() == {"id": ann.id, "username": name, "totalPoints": 0, "avatar": "https://example.org/a.png"}
    assert (await ann.patch("/api/users/me", {"avatar": None}))["avatar"] is None


async def test_email_and_password_need_the_present_password(ann: Person) -> None:
    new = {"password": "another long password"}
    for wrong in ({}, {"currentPassword": "wrong"}):
        await ann.patch("/api/users/me", new | wrong, status=403)
        await ann.patch("/api/users/me", {"email": f"x{ann.email}"} | wrong, status=403)
    await ann.patch("/api/users/me", new | {"currentPassword": PASSWORD})
    await ann.log_in("another long password")


async def test_a_new_password_ends_all_other_log_ins(ann: Person) -> None:
    stolen = dict(ann.client.headers)
    await ann.log_in()
    await ann.patch("/api/users/me", {"password": "another long password", "currentPassword": PASSWORD})
    await ann.get("/api/users/me")
    ann.client.headers.update(stolen)
    await ann.get("/api/users/me", status=401)


async def test_an_account_goes_with_all_that_belongs_to_it(system: System, ann: Person, bob: Person) -> None:
    todo = await ann.post("/api/todos", {"title": "a", "subject": "maths"})
    message = await bob.post("/api/messages", {"receiverId": ann.id, "body": "hello"})
    await system.synced(bob.token)
    await ann.delete("/api/users/me")
    await ann.get("/api/users/me", status=401)
    await system.synced(ann.token)
    assert system.documents("users", {"_id": ann.id}) == []
    assert system.documents("todos", {"_id": todo["id"]}) == []
    assert system.documents("messages", {"_id": message["id"]}) == []
    assert [event for event, _ in system.events("user", ann.id)] == ["user.created", "user.deleted"]
    assert [event for event, _ in system.events("message", message["id"])] == ["message.created", "message.deleted"]
    await bob.get(f"/api/users/{ann.id}", status=404)


async def test_the_leaderboard(system: System, join: Join) -> None:
    people = [await join() for _ in range(4)]
    points = [900_000_030, 900_000_010, 900_000_040, 900_000_030]
    with psycopg.connect(system.database_url) as connection:
        for person, total in zip(people, points, strict=True):
            connection.execute("UPDATE users SET total_points = %s WHERE id = %s", (total, person.id))
    await people[2].patch("/api/users/me", {"showProfile": False})
    board = await people[2].look("/api/users/leaderboard?limit=3", fresh=True)
    assert board.headers["Data-Source"] == "mongodb"
    assert board.json() == [
        {"username": people[one].username, "totalPoints": points[one], "avatar": None} for one in (0, 3, 1)
    ]


async def test_the_leaderboard_has_ten_entries_by_default(join: Join) -> None:
    people = [await join() for _ in range(11)]
    assert len(await people[-1].get("/api/users/leaderboard", fresh=True)) == 10


async def test_a_hidden_profile_is_for_its_owner_only(ann: Person, bob: Person) -> None:
    await bob.get(f"/api/users/{ann.id}", fresh=True)
    await ann.patch("/api/users/me", {"showProfile": False})
    bob.token = ann.token
    await bob.get(f"/api/users/{ann.id}", status=404, fresh=True)
    assert await bob.get(f"/api/users/search?q={ann.username}", fresh=True) == []
    await ann.get(f"/api/users/{ann.id}", fresh=True)


async def test_search_by_the_begin_of_a_name(ann: Person, bob: Person) -> None:
    found = await bob.get(f"/api/users/search?q={ann.username.upper()}", fresh=True)
    assert found == [{"id": ann.id, "username": ann.username, "totalPoints": 0, "avatar": None}]
    assert await bob.get(f"/api/users/search?q={ann.username}x", fresh=True) == []


async def test_the_cache_is_told_of_changes(system: System, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "FRESH", timedelta(hours=1))
    ann, bob = await join(), await join()
    path = f"/api/users/{ann.id}"
    await ann.get(path, fresh=True)
    assert "Age" in (await bob.look(path)).headers
    todo = await ann.post("/api/todos", {"title": "a", "subject": "b"})
    await ann.patch(f"/api/todos/{todo['id']}", {"completed": True})
    await system.synced(ann.token)
    assert (await bob.get(path))["totalPoints"] == 1


async def test_a_token_reads_past_the_cache(system: System, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "FRESH", timedelta(hours=1))
    ann, bob = await join(), await join()
    path = f"/api/users/{ann.id}"
    await ann.get(path, fresh=True)
    before = await bob.get(path)
    async with serving(system.app()) as elsewhere:  # with a cache of its own
        other = ann.use(elsewhere)
        await other.patch("/api/users/me", {"avatar": "https://example.org/new.png"})
    assert await bob.get(path) == before
    bob.token = other.token
    assert (await bob.get(path, fresh=True))["avatar"] == "https://example.org/new.png"
