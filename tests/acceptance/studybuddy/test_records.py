"""Friendships, reports, the study timer, forms."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

from tests.acceptance.studybuddy.system import Person, System


async def test_friendship_is_asked_for_accepted_and_removed(system: System, ann: Person, bob: Person) -> None:
    asked = await ann.post("/api/friendships", {"addresseeId": bob.id})
    assert (asked["requesterId"], asked["addresseeId"], asked["state"]) == (ann.id, bob.id, "pending")
    path = f"/api/friendships/{asked['id']}"
    await ann.post(f"{path}/accept", status=403)
    accepted = await bob.post(f"{path}/accept", status=200)
    assert accepted == {**asked, "state": "accepted"}
    await bob.post(f"{path}/accept", status=409)
    for one in (ann, bob):
        assert await one.get("/api/friendships?state=accepted") == [accepted]
        assert await one.get("/api/friendships?state=pending") == []
    await system.synced(bob.token)
    assert system.documents("friendships", {"_id": asked["id"]})[0]["state"] == "accepted"
    await ann.delete(path)
    assert await bob.get("/api/friendships") == []
    await system.synced(ann.token)
    assert [event for event, _ in system.events("friendship", asked["id"])] == [
        "friendship.created",
        "friendship.updated",
        "friendship.accepted",
        "friendship.deleted",
    ]


async def test_two_have_one_friendship_whoever_asks(ann: Person, bob: Person) -> None:
    answers = await asyncio.gather(
        ann.client.post("/api/friendships", json={"addresseeId": bob.id}),
        bob.client.post("/api/friendships", json={"addresseeId": ann.id}),
        ann.client.post("/api/friendships", json={"addresseeId": bob.id}),
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    await ann.post("/api/friendships", {"addresseeId": ann.id}, status=422)


async def test_nobody_touches_anothers_friendship(ann: Person, bob: Person, eve: Person) -> None:
    asked = await ann.post("/api/friendships", {"addresseeId": bob.id})
    await eve.post(f"/api/friendships/{asked['id']}/accept", status=404)
    await eve.delete(f"/api/friendships/{asked['id']}", status=404)
    assert await eve.get("/api/friendships") == []


async def test_reports_and_what_they_sum_up_to(system: System, ann: Person, bob: Person) -> None:
    days = [("2026-05-01", 1000, 50.0), ("2026-05-02", 24, 100.0), ("2026-05-03", 23.5, 25.0)]
    await ann.post("/api/reports", {"date": days[0][0], "studyHours": days[0][1], "completionPct": 50}, status=422)
    for day, hours, pct in [("2026-05-01", 24, 50.0), *days[1:]]:
        new = {"date": day, "studyHours": hours, "completionPct": pct}
        report = await ann.post("/api/reports", new)
        assert report == {**new, "id": report["id"], "createdAt": report["createdAt"]}
    await ann.post("/api/reports", {"date": "2026-05-02", "studyHours": 1, "completionPct": 1}, status=409)
    listed = await ann.look("/api/reports?limit=2", fresh=True)
    assert listed.headers["Data-Source"] == "mongodb"
    assert [report["date"] for report in listed.json()["items"]] == ["2026-05-03", "2026-05-02"]

    mine = {
        "userId": ann.id,
        "username": ann.username,
        "reports": 3,
        "totalHours": 71.5,
        "avgCompletion": 58.33,
    }
    bob.token = ann.token
    sums = await bob.look("/api/reports/analytics?limit=1000", fresh=True)
    assert sums.headers["Data-Source"] == "mongodb"
    assert mine in sums.json()
    assert await ann.get("/api/reports/analytics?mine=true", fresh=True) == [mine]
    assert await bob.get("/api/reports/analytics?mine=true", fresh=True) == []
    assert [event for event, _ in system.events("report", report["id"])] == ["report.created"]


async def test_analytics_are_of_those_who_show_their_profile(ann: Person, bob: Person) -> None:
    await ann.post("/api/reports", {"date": "2026-05-01", "studyHours": 24, "completionPct": 50})
    await ann.patch("/api/users/me", {"showProfile": False})
    bob.token = ann.token
    sums = await bob.get("/api/reports/analytics?limit=1000", fresh=True)
    assert ann.id not in [one["userId"] for one in sums]
    assert len(await ann.get("/api/reports/analytics?mine=true", fresh=True)) == 1


async def test_who_hides_is_taken_out_of_the_cached_figures_too(
    app: FastAPI, system: System, ann: Person, bob: Person
) -> None:
    await ann.post("/api/reports", {"date": "2026-05-01", "studyHours": 24, "completionPct": 50})
    await system.synced(ann.token)
    await app.state.services.cache.invalidate("analytics")

    async def shown() -> list[int]:
        return [one["userId"] for one in await bob.get("/api/reports/analytics?limit=1000")]

    assert ann.id in await shown()
    await ann.patch("/api/users/me", {"showProfile": False})
    await system.synced(ann.token)
    assert ann.id not in await shown()


async def test_the_study_timer(system: System, ann: Person, bob: Person) -> None:
    timer = await ann.post("/api/sessions", {"subject": "maths"})
    assert timer["ended"] is None
    await ann.post("/api/sessions", {"subject": "history"}, status=409)
    path = f"/api/sessions/{timer['id']}/stop"
    await bob.post(path, status=404)
    stopped = await ann.post(path, status=200)
    assert stopped["ended"] >= stopped["started"] == timer["started"]
    await ann.post(path, status=409)
    listed = await ann.look("/api/sessions", fresh=True)
    assert listed.headers["Data-Source"] == "mongodb"
    assert listed.json()["items"] == [stopped]
    assert (await bob.get("/api/sessions"))["items"] == []
    await ann.post("/api/sessions", {"subject": "history"})
    assert system.events("session", timer["id"])[0][0] == "session.created"


async def test_forms_and_responses(system: System, ann: Person, bob: Person, eve: Person) -> None:
    form = await ann.post("/api/forms", {"title": "How?", "questions": ["When?", "Where?"]})
    path = f"/api/forms/{form['id']}"
    assert await bob.get(path) == form
    await bob.post(f"{path}/responses", {"answers": ["At night"]}, status=422)
    given = await bob.post(f"{path}/responses", {"answers": ["At night", "$home"]})
    assert (given["formId"], given["userId"], given["answers"]) == (form["id"], bob.id, ["At night", "$home"])
    await bob.post(f"{path}/responses", {"answers": ["a", "b"]}, status=409)
    ann.token = bob.token
    listed = await ann.look(f"{path}/responses", fresh=True)
    assert listed.headers["Data-Source"] == "mongodb"
    assert listed.json()["items"] == [given]
    for other in (bob, eve):
        await other.get(f"{path}/responses", status=404)
        await other.patch(path, {"title": "mine"}, status=404)
        await other.delete(path, status=404)
    assert (await ann.patch(path, {"title": "How so?"}))["title"] == "How so?"
    await ann.delete(path)
    await system.synced(ann.token)
    assert system.documents("responses", {"_id": given["id"]}) == []
    assert [event for event, _ in system.events("form", form["id"])] == ["form.created", "form.updated", "form.deleted"]
    assert system.events("response", given["id"])[0][0] == "response.created"
