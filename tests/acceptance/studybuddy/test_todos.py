"""Todos, and the points for completing them."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs
from studybuddy.routes import todos

from tests.acceptance.studybuddy.system import WAITING, Person, System
from tests.relay import until

NEW = {"title": "Integrals", "subject": "maths", "difficulty": "hard", "questionsTarget": 20}


async def test_create_read_change_delete(system: System, ann: Person) -> None:
    todo = await ann.post("/api/todos", NEW)
    assert todo == {**NEW, "id": todo["id"], "createdAt": todo["createdAt"], "completed": False}
    path = f"/api/todos/{todo['id']}"
    assert await ann.get(path) == todo
    changed = await ann.patch(path, {"title": "Series", "questionsTarget": 0})
    assert changed == {**todo, "title": "Series", "questionsTarget": 0}
    listed = await ann.look("/api/todos", fresh=True)
    assert listed.headers["Data-Source"] == "mongodb"
    assert listed.json() == {"items": [changed], "nextCursor": None}
    await ann.delete(path)
    await ann.get(path, status=404)
    assert (await ann.get("/api/todos", fresh=True))["items"] == []
    assert [event for event, _ in system.events("todo", todo["id"])] == [
        "todo.created",
        "todo.updated",
        "todo.deleted",
    ]


async def test_an_event_carries_the_document_that_was_applied(system: System, ann: Person) -> None:
    todo = await ann.post("/api/todos", NEW)
    await system.synced(ann.token)
    ((event, payload),) = system.events("todo", todo["id"])
    assert event == "todo.created"
    assert {name: payload[name] for name in NEW} == NEW
    assert payload["_source"] == "postgresql"
    assert payload["_originalId"] == str(todo["id"])


async def test_completing_gives_a_point_in_the_same_transaction(system: System, ann: Person) -> None:
    todo = await ann.post("/api/todos", NEW)
    sent = {"X-Request-ID": "my-request-7"}
    await ann.send("PATCH", f"/api/todos/{todo['id']}", {"completed": True}, status=200, headers=sent)
    assert (await ann.get("/api/users/me"))["totalPoints"] == 1
    assert (await ann.get(f"/api/users/{ann.id}", fresh=True))["totalPoints"] == 1
    events = system.events("todo", todo["id"])
    assert ("todo.completed", {"userId": ann.id, "correlationId": "my-request-7"}) in events
    assert [event for event, _ in system.events("user", ann.id)] == ["user.created", "user.updated"]


async def test_a_point_is_given_once_however_many_ask_at_once(system: System, ann: Person) -> None:
    todo = await ann.post("/api/todos", NEW)
    with psycopg.connect(system.database_url) as holder:
        holder.execute("SELECT FROM todos WHERE id = %s FOR UPDATE", [todo["id"]])
        asked = asyncio.gather(*(ann.patch(f"/api/todos/{todo['id']}", {"completed": True}) for _ in range(4)))
        await until(lambda: system.sql(WAITING) == [(4,)], seconds=30)  # they are as far as they can get
        holder.rollback()
        await asked
    assert (await ann.get("/api/users/me"))["totalPoints"] == 1


async def test_many_completed_at_once_give_a_point_each(ann: Person) -> None:
    made = await ann.post("/api/todos/bulk", {"todos": [NEW] * 8})
    await asyncio.gather(*(ann.patch(f"/api/todos/{todo['id']}", {"completed": True}) for todo in made))
    assert (await ann.get("/api/users/me"))["totalPoints"] == 8


async def test_a_point_goes_when_it_is_taken_back(system: System, ann: Person) -> None:
    path = f"/api/todos/{(await ann.post('/api/todos', NEW))['id']}"
    for completed in (True, False, True, True):
        await ann.patch(path, {"completed": completed})
    assert (await ann.get("/api/users/me"))["totalPoints"] == 1


@pytest.mark.parametrize("step", ["award", "tell", "commit"])
async def test_all_or_nothing(system: System, ann: Person, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    todo = await ann.post("/api/todos", NEW)
    path = f"/api/todos/{todo['id']}"

    async def broken(*_: Any) -> None:
        raise RuntimeError(f"instead of {step}")

    monkeypatch.setattr(todos, step, broken)
    with capture_logs() as lines:
        problem = await ann.patch(path, {"completed": True}, status=500)
    assert "RuntimeError" not in str(problem)
    logged = next(line for line in lines if line["event"] == "unexpected error")
    assert isinstance(logged["exc_info"], RuntimeError)
    monkeypatch.undo()
    assert (await ann.get(path))["completed"] is False
    assert (await ann.get("/api/users/me"))["totalPoints"] == 0
    await system.synced(ann.token)
    assert [event for event, _ in system.events("todo", todo["id"])] == ["todo.created"]


async def test_many_at_once_all_or_none(system: System, ann: Person) -> None:
    made = await ann.post("/api/todos/bulk", {"todos": [{**NEW, "title": f"chapter {n}"} for n in range(250)]})
    assert [todo["title"] for todo in made] == [f"chapter {n}" for n in range(250)]
    await ann.post("/api/todos/bulk", {"todos": [NEW, {**NEW, "difficulty": "impossible"}]}, status=422)
    assert system.sql("SELECT count(*) FROM todos WHERE user_id = %s", ann.id) == [(250,)]


async def test_pages_and_filters(ann: Person) -> None:
    new = [{**NEW, "title": str(n), "difficulty": ("easy", "hard")[n % 2]} for n in range(7)]
    made = await ann.post("/api/todos/bulk", {"todos": new})
    await ann.patch(f"/api/todos/{made[3]['id']}", {"completed": True})
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = await ann.get(f"/api/todos?limit=3{cursor and f'&before={cursor}'}", fresh=True)
        assert len(page["items"]) <= 3
        seen += [todo["title"] for todo in page["items"]]
        cursor = page["nextCursor"]
    assert seen == list("6543210")

    async def titles(query: str) -> str:
        return "".join(todo["title"] for todo in (await ann.get(f"/api/todos?{query}", fresh=True))["items"])

    assert await titles("difficulty=hard") == "531"
    assert await titles("completed=true") == "3"
    assert await titles("completed=false&difficulty=hard") == "51"
    assert await titles("subject=history") == ""
