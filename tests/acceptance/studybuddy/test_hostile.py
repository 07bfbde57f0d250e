"""What people try who mean no good: other users' records, operators, scripts, huge bodies, bad tokens, odd text."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import psycopg
import pytest
from fastapi import FastAPI

from tests.acceptance.studybuddy.conftest import Join
from tests.acceptance.studybuddy.system import PASSWORD, SECRET, WAITING, Person, System, client
from tests.relay import until

OPERATORS = [{"$gt": ""}, {"$ne": None}, {"$where": "1"}, [{"$gt": ""}], {"$regex": ".*"}]
SCRIPT = "<script>alert(document.cookie)</script>"
TODO = {"title": "a", "subject": "b"}
OPEN = {("POST", "/api/users"), ("POST", "/api/auth/login")}
OURS = ("/health", "/api/health", "/metrics", "/api/admin", "/api/backup")


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    """It is refused like every error: as problem details, without a word of what is inside."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["correlationId"] == response.headers["X-Request-ID"]
    for secret in ("Traceback", "psycopg", "sqlalchemy", "mongodb://", "SELECT", SECRET):
        assert secret not in response.text
    return problem


async def test_every_route_asks_who_calls(app: FastAPI) -> None:
    visitor = client(app)
    asked = 0
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            if (method.upper(), path) in OPEN or path.startswith(OURS):
                continue
            answer = await visitor.request(method.upper(), path.replace("{", "").replace("}", ""), json={})
            assert_problem(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            asked += 1
    assert asked > 25


def token(**claims: Any) -> str:
    """Sign claims with the right secret; ``None`` leaves one out."""
    now = datetime.now(UTC)
    full = {"iss": "studybuddy", "sub": "1", "jti": str(uuid4()), "exp": now + timedelta(hours=1), **claims}
    return jwt.encode({name: value for name, value in full.items() if value is not None}, SECRET)


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


async def test_tokens_that_are_not_good(app: FastAPI, ann: Person, bob: Person) -> None:
    good = ann.client.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(good, SECRET, algorithms=["HS256"])
    other_secret = jwt.encode(claims, "another secret that is long enough, really")
    header, payload, signature = good.split(".")
    bad = {
        "none": "",
        "no token": "x",
        "no signature": f"{header}.{payload}.",
        "unsigned": unsigned(claims),
        "another secret": other_secret,
        "changed": f"{header}.{payload}.{signature[::-1]}",
        "expired": token(**(claims | {"exp": datetime.now(UTC) - timedelta(seconds=1)})),
        "another issuer": token(**(claims | {"iss": "somebody"})),
        "never ends": token(**(claims | {"exp": None})),
        "no log-in": token(**(claims | {"jti": None})),
        "unknown log-in": token(**(claims | {"jti": str(uuid4())})),
        "ann's log-in for bob": token(**(claims | {"sub": str(bob.id)})),
        "no number": token(**(claims | {"sub": "1; DROP TABLE users"})),
        "no id": token(**(claims | {"jti": "$ne"})),
        "too large a number": token(**(claims | {"sub": str(2**70)})),
        "large": "x" * 7000,
        "another hash": jwt.encode(claims, SECRET, "HS384"),
    }
    visitor = client(app)
    for what, one in bad.items():
        answer = await visitor.get("/api/users/me", headers={"Authorization": f"Bearer {one}"})
        assert answer.status_code == 401, what
        assert_problem(answer, 401)
    for scheme in (f"Basic {good}", good, "Bearer"):
        assert (await visitor.get("/api/users/me", headers={"Authorization": scheme})).status_code == 401
    await ann.get("/api/users/me")


async def test_an_ended_log_in_stays_ended(ann: Person) -> None:
    await ann.send("POST", "/api/auth/logout", status=204)
    for method, path in [("GET", "/api/todos"), ("POST", "/api/todos"), ("POST", "/api/auth/logout")]:
        await ann.send(method, path, TODO, status=401)


async def test_others_todos_are_not_there(ann: Person, eve: Person) -> None:
    todo = await ann.post("/api/todos", TODO)
    path = f"/api/todos/{todo['id']}"
    await eve.get(path, status=404)
    await eve.patch(path, {"completed": True}, status=404)
    await eve.delete(path, status=404)
    assert await ann.get(path) == todo
    assert (await ann.get("/api/users/me"))["totalPoints"] == 0
    eve.token = ann.token
    assert (await eve.get("/api/todos", fresh=True))["items"] == []


@pytest.mark.parametrize("operator", OPERATORS)
async def test_operators_are_no_values(app: FastAPI, ann: Person, operator: Any) -> None:
    for body in ({"email": operator, "password": PASSWORD}, {"email": ann.email, "password": operator}):
        assert_problem(await client(app).post("/api/auth/login", json=body), 422)
    for field in TODO:
        await ann.post("/api/todos", TODO | {field: operator}, status=422)
    await ann.post("/api/messages", {"receiverId": operator, "body": "x"}, status=422)
    await ann.post("/api/forms", {"title": "x", "questions": operator}, status=422)
    text = json.dumps(operator)
    assert (await ann.get(f"/api/todos?subject={text}"))["items"] == []
    await ann.get(f"/api/users/search?q={text}", status=422)
    await ann.get(f"/api/messages?with={text}", status=422)
    await ann.get("/api/messages?with[$gt]=0", status=422)
    await ann.get("/api/todos?completed[$ne]=true&subject[$gt]=", status=200)


async def test_text_that_looks_like_an_operator_stays_text(system: System, ann: Person) -> None:
    for title in ("$where", "$$ROOT", "$userId", "a.b.$", '{"$gt": ""}', "'; DROP TABLE users; --", SCRIPT):
        todo = await ann.post("/api/todos", {"title": title, "subject": title})
        newest = (await ann.get("/api/todos?limit=1", fresh=True))["items"][0]
        assert newest == todo
        assert newest["title"] == title


async def test_a_script_is_text_and_no_name(app: FastAPI, ann: Person, bob: Person) -> None:
    for name in (
        SCRIPT,
        "<b>",
        "ann ",
        "a b",
        "\uff41nn",
        "\u0430nn",
        "ann\u200b",
        "a\nb",
        "..",
        "-ann",
        "x" * 31,
        "ab",
    ):
        await ann.patch("/api/users/me", {"username": name}, status=422)
    for avatar in (
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//x",
        "x",
        f"https://x/{'a' * 600}",
    ):
        await ann.patch("/api/users/me", {"avatar": avatar}, status=422)
    await ann.post("/api/messages", {"receiverId": bob.id, "body": SCRIPT})
    read = await ann.look(f"/api/messages?with={bob.id}", fresh=True)
    assert read.json()["items"][0]["body"] == SCRIPT
    assert read.headers["Content-Type"] == "application/json"
    assert read.headers["X-Content-Type-Options"] == "nosniff"


async def test_search_takes_words_only(ann: Person, bob: Person) -> None:
    await ann.post("/api/messages", {"receiverId": bob.id, "body": "a secret plan"})
    for q in ('" -plan', "' OR 1=1 --", '"secret" -plan', "plan:* | secret", "%"):
        answer = await ann.client.get("/api/messages/search", params={"q": q})
        assert answer.status_code in (200, 422), q
    for q in (".*", "a*", "^a", "%", "_", "a$", "a\0"):
        answer = await ann.client.get("/api/users/search", params={"q": q})
        assert answer.status_code == 422 or answer.json() == [], q


@pytest.mark.parametrize(
    "more",
    [
        {"id": 1},
        {"userId": 1},
        {"completed": True},
        {"createdAt": "2000-01-01"},
        {"_id": 1},
        {"$set": {}},
        {"a\ud800": 1},
    ],
)
async def test_fields_that_are_not_the_callers_to_set(ann: Person, more: dict[str, Any]) -> None:
    await ann.post("/api/todos", TODO | more, status=422)


async def test_points_are_not_given_to_oneself(app: FastAPI, ann: Person) -> None:
    for more in ({"totalPoints": 999}, {"total_points": 999}, {"passwordHash": "x"}, {"id": 1}):
        await ann.patch("/api/users/me", more, status=422)
    new = {"email": "x@example.org", "username": "xyz", "password": PASSWORD, "totalPoints": 999}
    assert_problem(await client(app).post("/api/users", json=new), 422)
    assert (await ann.get("/api/users/me"))["totalPoints"] == 0


@pytest.mark.parametrize("query", ["limit=-1", "limit=0", "limit=100000", "limit=x", "before=-1", "before=0", f"before={2**63}", "limit=1e3", "limit=" + "9" * 5000, "limit=NaN"])  # fmt: skip
@pytest.mark.parametrize("path", ["/api/todos?", "/api/messages?with=1&", "/api/users/leaderboard?"])
async def test_limits_and_cursors_are_bounded(ann: Person, path: str, query: str) -> None:
    if "leaderboard" in path and "before" in query:
        return
    assert_problem(await ann.client.get(path + query), 422)


@pytest.mark.parametrize("id_", ["0", "-1", str(2**63), "1e3", "x", "1%20OR%201=1", "9" * 5000, "%00", "\uff11"])
async def test_ids_are_ids(ann: Person, id_: str) -> None:
    for method, path in [("GET", "/api/todos/"), ("DELETE", "/api/messages/"), ("GET", "/api/users/")]:
        answer = await ann.client.request(method, path + id_)
        assert answer.status_code in (404, 422), answer.text
        assert_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    "text", ["", " ", "\t\n", "a\0b", "a\ud800b", "a\x1bb", "a\x7fb", "abc\u202ecod.exe", "\u200b\u200b", "\u2067a", "x" * 201]
)  # fmt: skip
async def test_text_that_cannot_be_stored_or_seen_or_that_lies(ann: Person, text: str) -> None:
    await ann.post("/api/todos", TODO | {"title": text}, status=422)
    answer = await ann.client.get("/api/todos", params={"subject": text.encode("utf-8", "surrogatepass")})
    assert answer.status_code in (200, 422)


@pytest.mark.parametrize(("text", "stored"), [("  padded ", "padded"), ("Gro\u0308ße", "Gr\u00f6ße"), ("مرحبا 🎓👩‍🔬", None), ("\U0001d56c\U0001d593", None), ("e" + "\u0301" * 60, "é" + "\u0301" * 59)])  # fmt: skip
async def test_text_of_all_the_world(ann: Person, text: str, stored: str | None) -> None:
    todo = await ann.post("/api/todos", TODO | {"title": text})
    assert todo["title"] == (stored or text)
    assert (await ann.get("/api/todos?limit=1", fresh=True))["items"] == [todo]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "25", '"2"x', "9" * 5000, "true"])
async def test_numbers_that_are_none(ann: Person, number: str) -> None:
    body = f'{{"date": "2026-01-01", "studyHours": {number}, "completionPct": 1}}'
    answer = await ann.client.post("/api/reports", content=body, headers={"Content-Type": "application/json"})
    if number == "true":
        assert answer.status_code in (201, 422)
    else:
        assert answer.status_code in (400, 422), answer.text
        assert_problem(answer, answer.status_code)


@pytest.mark.parametrize(
    "date", ["0001-01-01", "9999-12-31", "2026-02-30", "infinity", "-infinity", "now", "", 0, 1e300]
)
async def test_dates_that_are_none(ann: Person, date: Any) -> None:
    await ann.post("/api/reports", {"date": date, "studyHours": 1, "completionPct": 1}, status=422)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe{}", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"a":' * 40_000, "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'"title"', "application/json"),
        (b"title=a&subject=b", "application/x-www-form-urlencoded"),
        (b'{"title":"a","subject":"b"}', "text/plain"),
        (b"<a/>", "application/xml"),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
async def test_bodies_that_are_none(ann: Person, content: bytes, kind: str) -> None:
    answer = await ann.client.post("/api/todos", content=content, headers={"Content-Type": kind})
    assert answer.status_code in (400, 422), answer.text
    assert_problem(answer, answer.status_code)


async def test_huge_bodies_are_refused_whatever_they_say_of_their_size(app: FastAPI, ann: Person) -> None:
    large = {"title": "x" * 300_000, "subject": "b"}
    assert_problem(await ann.client.post("/api/todos", json=large), 413)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200:
            sent += 1
            yield b'{"title": "' + b"x" * 65_536

    as_json = {"Content-Type": "application/json"}
    assert_problem(await ann.client.post("/api/todos", content=endless(), headers=as_json), 413)
    assert sent < 10
    sent = 0
    assert_problem(await client(app).post("/api/auth/login", content=endless(), headers=as_json), 413)
    todos = {"todos": [{"title": "x" * 200, "subject": "b"}] * 501}
    assert_problem(await ann.client.post("/api/todos/bulk", json=todos), 422)
    for size in ("-1", "x", "1e3", "9" * 30):
        answer = await ann.client.post("/api/todos", content=b"{}", headers=as_json | {"Content-Length": size})
        assert_problem(answer, 413)


async def test_a_request_id_from_outside_is_taken_only_when_it_is_one(ann: Person) -> None:
    for given, taken in [("abc-1.2_3", True), ("x" * 65, False), ("a b", False), ("<script>", False), ("", False)]:
        answer = await ann.client.get("/api/users/me", headers={"X-Request-ID": given})
        assert (answer.headers["X-Request-ID"] == given) is taken


async def test_admin_routes_are_not_for_users(ann: Person) -> None:
    for method, path in [("POST", "/api/admin/sync/trigger"), ("POST", "/api/backup/full")]:
        assert (await ann.client.request(method, path)).status_code in (401, 403)


async def test_many_at_once_with_the_same_name_make_one_account(app: FastAPI) -> None:
    person = Person(app)
    new = {"email": person.email, "username": person.username, "password": PASSWORD}
    answers = await asyncio.gather(*(person.client.post("/api/users", json=new) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]


async def test_somebody_who_has_gone_cannot_do_anything(join: Join) -> None:
    ann = await join()
    await ann.delete("/api/users/me")
    for method, path, body in [
        ("POST", "/api/todos", TODO),
        ("GET", "/api/todos", None),
        ("DELETE", "/api/users/me", None),
    ]:
        await ann.send(method, path, body, status=401)


async def test_two_delete_the_same_at_once(system: System, ann: Person, bob: Person) -> None:
    todo = await ann.post("/api/todos", TODO)
    message = await ann.post("/api/messages", {"receiverId": bob.id, "body": "x"})
    form = await ann.post("/api/forms", {"title": "x", "questions": ["?"]})
    friendship = await ann.post("/api/friendships", {"addresseeId": bob.id})
    for table, record in (("todos", todo), ("messages", message), ("forms", form), ("friendships", friendship)):
        with psycopg.connect(system.database_url) as holder:
            holder.execute(f"SELECT FROM {table} WHERE id = %s FOR UPDATE", [record["id"]])
            asked = asyncio.gather(*(ann.client.delete(f"/api/{table}/{record['id']}") for _ in range(2)))
            await until(lambda: system.sql(WAITING) == [(2,)], seconds=30)
            holder.rollback()
            assert sorted(answer.status_code for answer in await asked) == [204, 404]


async def test_what_goes_while_it_is_changed_is_gone(
    app: FastAPI, system: System, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await join()

    async def meanwhile(_: str) -> str:
        system.sql("DELETE FROM users WHERE id = %s", ann.id)
        return "a hash"

    monkeypatch.setattr(app.state.services.passwords, "hash", meanwhile)
    change = {"password": "another long password", "currentPassword": PASSWORD}
    assert_problem(await ann.client.patch("/api/users/me", json=change), 404)
