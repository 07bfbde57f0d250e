"""Each read that MongoDB answers has the same answer from PostgreSQL, and everything is proved equal in the end."""

from __future__ import annotations

import json
import random

import pytest
from fastapi import FastAPI

from tests.acceptance.studybuddy.conftest import Join
from tests.acceptance.studybuddy.system import Person, System

READS = [
    "/api/users/leaderboard?limit=100",
    "/api/users/{bob}",
    "/api/users/search?q=user",
    "/api/todos",
    "/api/todos?limit=2",
    "/api/todos?completed=true",
    "/api/todos?completed=false&difficulty=easy&subject=Größe",
    "/api/messages?with={bob}",
    "/api/messages?with={bob}&limit=3",
    "/api/messages?with={ann}",
    "/api/messages/search?q=größe",
    "/api/messages/search?q=two words",
    "/api/messages/search?q=WORDS&limit=1",
    "/api/reports",
    "/api/reports/analytics?mine=true",
    "/api/sessions",
    "/api/forms/{form}/responses",
]
WORDS = ["two words", "words", "Größe", "größe zwei", "2 * 2", "<b>two</b>, words!", "emoji 🎓", "one"]


async def busy(ann: Person, bob: Person) -> dict[str, int]:
    """Fill every list."""
    random.seed(7)
    for word in WORDS:
        for sender, receiver in ((ann, bob), (bob, ann)):
            await sender.post("/api/messages", {"receiverId": receiver.id, "body": word})
    new = [
        {"title": word, "subject": "Größe", "difficulty": random.choice(["easy", "medium", "hard"])} for word in WORDS
    ]
    for todo in (await ann.post("/api/todos/bulk", {"todos": new}))[::2]:
        await ann.patch(f"/api/todos/{todo['id']}", {"completed": True})
    for day in range(1, 6):
        hours, pct = random.uniform(0, 24), random.uniform(0, 100)
        await ann.post("/api/reports", {"date": f"2026-01-0{day}", "studyHours": hours, "completionPct": pct})
    for _ in range(3):
        timer = await ann.post("/api/sessions", {"subject": "maths"})
        await ann.post(f"/api/sessions/{timer['id']}/stop", status=200)
    form = await ann.post("/api/forms", {"title": "How?", "questions": ["When?", "Where?"]})
    await bob.post(f"/api/forms/{form['id']}/responses", {"answers": ["a", "b"]})
    return {"ann": ann.id, "bob": bob.id, "form": form["id"]}


async def test_both_databases_give_the_same_answers(
    app: FastAPI, app_without_mongodb: FastAPI, system: System, join: Join
) -> None:
    ann, bob = await join(), await join()
    names = await busy(ann, bob)
    await system.drained()
    other = ann.use(app_without_mongodb)
    for read in READS:
        path = read.format(**names)
        mongodb = await ann.look(path, fresh=True)
        postgresql = await other.look(path)
        assert (mongodb.headers["Data-Source"], postgresql.headers["Data-Source"]) == ("mongodb", "postgresql"), path
        assert mongodb.json() == postgresql.json(), path
        assert mongodb.json() not in ([], {"items": [], "nextCursor": None}) or "with={ann}" in read, path


async def test_without_mongodb_the_heavy_figures_are_refused_and_nothing_else(app_without_mongodb: FastAPI) -> None:
    ann = await Person(app_without_mongodb).join()
    refused = await ann.look("/api/reports/analytics", status=503)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert int(refused.headers["Retry-After"]) > 0


@pytest.mark.parametrize("token", ["hello", "1.zz", "1.00000000.0", "~", "é"])
async def test_a_token_that_is_none_is_refused(ann: Person, token: str) -> None:
    headers = {b"Syncline-Token": token.encode()}
    problem = (await ann.send("GET", "/api/todos", status=400, headers=headers)).json()
    assert "not a token" in problem["detail"]


async def test_a_token_of_another_installation_reads_from_the_primary(ann: Person) -> None:
    read = await ann.send("GET", "/api/todos", status=200, headers={"Syncline-Token": "1.00000001.2"})
    assert read.headers["Data-Source"] == "postgresql"


async def test_tokens_add_up(ann: Person) -> None:
    first = (await ann.send("POST", "/api/todos", {"title": "a", "subject": "b"}, status=201)).headers["Syncline-Token"]
    headers = {"Syncline-Token": first}
    both = await ann.send("POST", "/api/todos", {"title": "a", "subject": "b"}, status=201, headers=headers)
    assert first.partition(".")[2] in both.headers["Syncline-Token"]


async def test_all_is_proved_equal(system: System, ann: Person) -> None:
    await ann.post("/api/todos", {"title": "a", "subject": "b"})
    await system.drained()
    report = json.loads(system.syncline("verify", "--json"))
    assert report["verdict"] == "equal"
