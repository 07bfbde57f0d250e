"""Direct messages: history from MongoDB by cursor, search; nobody reads another's."""

from __future__ import annotations

from tests.acceptance.studybuddy.system import Person, System


async def test_send_and_read(system: System, ann: Person, bob: Person) -> None:
    sent = await ann.post("/api/messages", {"receiverId": bob.id, "body": "Shall we\nlearn? 🎓"})
    assert sent == {
        "id": sent["id"],
        "createdAt": sent["createdAt"],
        "senderId": ann.id,
        "receiverId": bob.id,
        "body": "Shall we\nlearn? 🎓",
    }
    for reader, other in ((ann, bob), (bob, ann)):
        reader.token = ann.token
        history = await reader.look(f"/api/messages?with={other.id}", fresh=True)
        assert history.headers["Data-Source"] == "mongodb"
        assert history.json() == {"items": [sent], "nextCursor": None}


async def test_history_by_cursor_while_more_arrive(ann: Person, bob: Person) -> None:
    for number in range(10):
        sender, receiver = (ann, bob) if number % 2 else (bob, ann)
        await sender.post("/api/messages", {"receiverId": receiver.id, "body": str(number)})
    ann.token = (await bob.send("POST", "/api/messages", {"receiverId": ann.id, "body": "10"}, status=201)).headers[
        "Syncline-Token"
    ]
    seen = []
    path = f"/api/messages?with={bob.id}&limit=4"
    page = await ann.get(path, fresh=True)
    while True:
        seen += [message["body"] for message in page["items"]]
        await bob.post("/api/messages", {"receiverId": ann.id, "body": "meanwhile"})
        if page["nextCursor"] is None:
            break
        page = await ann.get(f"{path}&before={page['nextCursor']}", fresh=True)
    assert seen == [str(number) for number in reversed(range(11))]


async def test_nobody_reads_anothers_messages(ann: Person, bob: Person, eve: Person) -> None:
    sent = await ann.post("/api/messages", {"receiverId": bob.id, "body": "a secret"})
    eve.token = ann.token
    for other in (ann, bob, eve):
        assert (await eve.get(f"/api/messages?with={other.id}", fresh=True))["items"] == []
    assert await eve.get("/api/messages/search?q=secret", fresh=True) == []
    await eve.delete(f"/api/messages/{sent['id']}", status=404)


async def test_only_its_sender_deletes_a_message_and_it_is_gone_for_both(
    system: System, ann: Person, bob: Person
) -> None:
    sent = await ann.post("/api/messages", {"receiverId": bob.id, "body": "oops"})
    await bob.delete(f"/api/messages/{sent['id']}", status=403)
    await ann.delete(f"/api/messages/{sent['id']}")
    bob.token = ann.token
    for reader, other in ((ann, bob), (bob, ann)):
        assert (await reader.get(f"/api/messages?with={other.id}", fresh=True))["items"] == []
    assert [event for event, _ in system.events("message", sent["id"])] == ["message.created", "message.deleted"]


async def test_search_finds_what_was_sent_and_received(ann: Person, bob: Person) -> None:
    bodies = ["The integral of x", "an INTEGRAL part", "integrals differ", "nothing"]
    for body in bodies:
        await ann.post("/api/messages", {"receiverId": bob.id, "body": body})
    bob.token = ann.token
    for reader in (ann, bob):
        found = await reader.look("/api/messages/search?q=integral", fresh=True)
        assert found.headers["Data-Source"] == "mongodb"
        assert [message["body"] for message in found.json()] == ["an INTEGRAL part", "The integral of x"]
        both = await reader.get("/api/messages/search?q=integral part", fresh=True)
        assert [message["body"] for message in both] == ["an INTEGRAL part"]


async def test_nobody_can_be_written_to_who_is_not_there(ann: Person) -> None:
    await ann.post("/api/messages", {"receiverId": 2**62, "body": "hello?"}, status=404)
