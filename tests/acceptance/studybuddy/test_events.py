"""Every event that the application can cause, by name; and what is caused together."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from studybuddy.routes import users

from tests.acceptance.studybuddy.conftest import Join
from tests.acceptance.studybuddy.system import PASSWORD, Person, System

AGGREGATES = {"user", "todo", "message", "friendship", "report", "session", "form", "response"}
EVENTS = {
    *("user.created", "user.updated", "user.deleted"),
    *("todo.created", "todo.updated", "todo.completed", "todo.reopened", "todo.deleted"),
    *("message.created", "message.deleted"),
    *("friendship.created", "friendship.updated", "friendship.accepted", "friendship.deleted"),
    *("report.created", "report.deleted"),
    *("session.created", "session.updated", "session.deleted"),
    *("form.created", "form.updated", "form.deleted"),
    *("response.created", "response.deleted"),
}
VOCABULARY = {
    *(
        f"{aggregate}.{what}"
        for aggregate in ("user", "todo", "friendship", "form")
        for what in ("created", "updated", "deleted")
    ),
    *("message.created", "message.deleted", "report.created", "session.created", "response.created"),
}
"""The seventeen that every consumer may rely on; the others say more."""
TODO = {"title": "Integrals", "subject": "maths"}


async def test_all_types_of_events_and_aggregates(system: System, join: Join) -> None:
    """Whatever the routes do; what goes with an account goes by cascade, and is told as well."""
    ann, bob = await join(), await join()
    made = [("user", ann.id)]
    await ann.patch("/api/users/me", {"showProfile": False})

    made.append(("todo", (await ann.post("/api/todos", TODO))["id"]))
    for change in ({"completed": True}, {"completed": False}):
        await ann.patch(f"/api/todos/{made[-1][1]}", change)
    await ann.delete(f"/api/todos/{made[-1][1]}")

    made.append(("message", (await ann.post("/api/messages", {"receiverId": bob.id, "body": "Hello"}))["id"]))
    await ann.delete(f"/api/messages/{made[-1][1]}")

    made.append(("friendship", (await ann.post("/api/friendships", {"addresseeId": bob.id}))["id"]))
    await bob.send("POST", f"/api/friendships/{made[-1][1]}/accept", status=200)
    await ann.delete(f"/api/friendships/{made[-1][1]}")

    report = {"date": "2026-05-01", "studyHours": 2.5, "completionPct": 80}
    made.append(("report", (await ann.post("/api/reports", report))["id"]))
    made.append(("session", (await ann.post("/api/sessions", {"subject": "maths"}))["id"]))
    await ann.send("POST", f"/api/sessions/{made[-1][1]}/stop", status=200)

    made.append(("form", (await ann.post("/api/forms", {"title": "How?", "questions": ["When?"]}))["id"]))
    await ann.patch(f"/api/forms/{made[-1][1]}", {"title": "How best?"})
    made.append(("response", (await bob.post(f"/api/forms/{made[-1][1]}/responses", {"answers": ["Now"]}))["id"]))

    await ann.delete("/api/users/me")
    await system.synced(ann.token)
    told = {(aggregate, event) for aggregate, id_ in made for event, _ in system.events(aggregate, id_)}
    told = {(aggregate, event) for aggregate, event in told if not event.endswith(".backfilled")}  # the install's own
    assert {event for _, event in told} == EVENTS
    assert len(VOCABULARY) == 17
    assert VOCABULARY <= EVENTS
    assert {aggregate for aggregate, _ in told} == AGGREGATES


async def test_a_user_and_a_first_todo_are_one_transaction(system: System, app: FastAPI) -> None:
    ann = Person(app)
    new = {"email": ann.email, "username": ann.username, "password": PASSWORD, "firstTodo": TODO}
    own = await ann.post("/api/users", new)
    assert own["firstTodo"] == {
        **TODO,
        "id": own["firstTodo"]["id"],
        "createdAt": own["firstTodo"]["createdAt"],
        "difficulty": "medium",
        "questionsTarget": 0,
        "completed": False,
    }
    same = "SELECT u.xmin::text = t.xmin::text FROM users AS u JOIN todos AS t ON t.user_id = u.id WHERE u.id = %s"
    assert system.sql(same, own["id"]) == [(True,)]
    await system.synced(ann.token)
    assert [one["username"] for one in system.documents("users", {"_id": own["id"]})] == [ann.username]
    assert [one["title"] for one in system.documents("todos", {"userId": own["id"]})] == [TODO["title"]]
    assert [event for event, _ in system.events("user", own["id"])] == ["user.created"]
    assert [event for event, _ in system.events("todo", own["firstTodo"]["id"])] == ["todo.created"]


@pytest.mark.parametrize("wrong", ["todo", "commit"])
async def test_without_the_todo_there_is_no_user(
    system: System, app: FastAPI, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    ann = Person(app)
    todo = {**TODO, "difficulty": "impossible"} if wrong == "todo" else TODO

    async def broken(*_: object) -> None:
        raise RuntimeError("instead of the commit")

    if wrong == "commit":
        monkeypatch.setattr(users, "commit", broken)
    new = {"email": ann.email, "username": ann.username, "password": PASSWORD, "firstTodo": todo}
    await ann.post("/api/users", new, status=422 if wrong == "todo" else 500)
    assert system.sql("SELECT FROM users WHERE email = %s", ann.email) == []
