"""Simulated students at work, for the demo: ``python -m studybuddy.students --api URL --mongo URL``.

They use the API as a browser would. What they have done goes to standard output, a line of JSON every 200 ms:
``at`` (monotonic clock), ``commits``, ``rollbacks`` (requests that were refused), ``seen`` (when a message was sent,
and seconds until MongoDB had it), ``waiting`` (ages of messages that it has not yet), and ``event`` (``burst``,
``stopped``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpx
from faker import Faker
from pymongo import AsyncMongoClient

PEOPLE = 40
"""Accounts that there are when the traffic begins."""
AT_ONCE = 4
PROBE_SECONDS = 0.05
REPORT_SECONDS = 0.2
BULK = 500
PASSWORD = "correct horse battery"  # noqa: S105  everybody's, here
SUBJECTS = ("maths", "physics", "history", "biology", "French", "chemistry")

Act = Callable[["Student"], Coroutine[Any, Any, None]]


class Tally:
    """What was done, and how long messages took to be in MongoDB."""

    def __init__(self) -> None:
        self.commits = self.rollbacks = 0
        self.missing: dict[int, float] = {}
        self.seen: list[tuple[float, float]] = []

    def count(self, response: httpx.Response) -> bool:
        """Count a write; tell whether it was done."""
        self.commits += response.is_success
        self.rollbacks += not response.is_success
        return response.is_success

    def report(self, **more: object) -> None:
        """Say how things stand."""
        now = time.monotonic()
        seen, self.seen = self.seen, []
        waiting = [round(now - since, 4) for since in self.missing.values()]
        facts = {"at": now, "commits": self.commits, "rollbacks": self.rollbacks, "seen": seen, "waiting": waiting}
        sys.stdout.write(json.dumps(facts | more) + "\n")
        sys.stdout.flush()


class Student:
    """One account and its token; what one knows of one's own."""

    def __init__(self, api: httpx.AsyncClient, tally: Tally, chance: random.Random, names: Faker) -> None:
        self._api, self._tally, self._chance, self._names = api, tally, chance, names
        self.id = 0
        self.token = ""
        self._account: dict[str, str] = {}
        self._synced: dict[str, str] = {}
        self._todos: list[int] = []
        self.others: Sequence[Student] = ()

    async def register(self, number: int) -> None:
        """Make an account and log in."""
        name = f"{self._names.first_name().lower()}.{number}"
        self._account = account = {"email": f"{name}@example.org", "username": name, "password": PASSWORD}
        made = await self._api.post("/api/users", json=account)
        self._tally.count(made)
        made.raise_for_status()
        self.id = made.json()["id"]
        login = await self._api.post("/api/auth/login", json={"email": account["email"], "password": PASSWORD})
        login.raise_for_status()
        self.token = login.json()["accessToken"]

    async def write(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Send a write; its token makes the next reads see it."""
        response = await self._api.request(method, path, json=body, headers=self._headers())
        if self._tally.count(response) and (token := response.headers.get("Syncline-Token")):
            self._synced = {"Syncline-Token": token}
        return response

    async def read(self, path: str) -> None:
        """Read; an answer that is not there yet (503) is an answer."""
        await self._api.get(path, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **self._synced}

    # -- what students do

    def todo(self) -> dict[str, object]:
        """Think of something to learn."""
        subject = self._chance.choice(SUBJECTS)
        title = f"{self._names.word().capitalize()}, chapter {self._chance.randint(1, 20)}"
        return {"title": title, "subject": subject, "questionsTarget": self._chance.randint(0, 50)}

    async def plan(self) -> None:
        """Write a todo down."""
        made = await self.write("POST", "/api/todos", self.todo())
        if made.is_success:
            self._todos.append(made.json()["id"])

    async def complete(self) -> None:
        """Complete one, which gives a point; look at the leaderboard."""
        if self._todos:
            await self.write("PATCH", f"/api/todos/{self._todos.pop()}", {"completed": True})
            await self.read("/api/users/leaderboard")

    async def give_up(self) -> None:
        """Delete one."""
        if self._todos:
            await self.write("DELETE", f"/api/todos/{self._todos.pop()}")

    async def talk(self) -> None:
        """Send a message, and read the conversation."""
        other = self._chance.choice(self.others)
        if other is not self:
            await self.write("POST", "/api/messages", {"receiverId": other.id, "body": self._names.sentence()})
            await self.read(f"/api/messages?with={other.id}")

    async def befriend(self) -> None:
        """Ask for a friendship; asking twice is refused, and rolled back."""
        other = self._chance.choice(self.others)
        if other is not self:
            await self.write("POST", "/api/friendships", {"addresseeId": other.id})

    async def report(self) -> None:
        """Say how a day went; a day that was reported already is refused."""
        day = f"2026-{self._chance.randint(1, 12):02}-{self._chance.randint(1, 28):02}"
        hours, percent = self._chance.randint(0, 16) / 2, self._chance.randint(0, 100)
        await self.write("POST", "/api/reports", {"date": day, "studyHours": hours, "completionPct": percent})
        await self.read("/api/reports/analytics?mine=true")

    async def register_again(self) -> None:
        """Try to register once more; the address is taken, and the transaction rolled back."""
        await self.write("POST", "/api/users", self._account)

    async def study(self) -> None:
        """Run the timer for a moment."""
        started = await self.write("POST", "/api/sessions", {"subject": self._chance.choice(SUBJECTS)})
        if started.is_success:
            await self.write("POST", f"/api/sessions/{started.json()['id']}/stop")


ACTS: Sequence[tuple[Act, int]] = (
    (Student.plan, 24),
    (Student.complete, 16),
    (Student.give_up, 6),
    (Student.talk, 20),
    (Student.befriend, 6),
    (Student.report, 10),
    (Student.study, 8),
    (Student.register_again, 3),
)


class School:
    """All of them, until the time is over or somebody says stop."""

    def __init__(self, api: httpx.AsyncClient, messages: Any, *, pause_seconds: float) -> None:
        self._api, self._messages, self._pause = api, messages, pause_seconds
        self._tally = Tally()
        self._students: list[Student] = []
        self.stop = asyncio.Event()
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop now, without the bursts that are still to come."""
        self._interrupted = True
        self.stop.set()

    async def open(self) -> None:
        """Make the accounts."""
        names = Faker()
        Faker.seed(1)
        first = int(time.time() * 1000) % 10_000_000  # another school may have been here before
        self._students = [Student(self._api, self._tally, random.Random(n), names) for n in range(PEOPLE)]  # noqa: S311
        for start in range(0, PEOPLE, AT_ONCE):
            some = self._students[start : start + AT_ONCE]
            await asyncio.gather(*(one.register(first + start + n) for n, one in enumerate(some)))
        for one in self._students:
            one.others = self._students

    async def run(self, *, bursts: Sequence[float], rows: int) -> None:
        """Run, with bursts of so many todos at the given seconds; return when everything has stopped."""
        looking = asyncio.create_task(self._look())
        reporting = asyncio.create_task(self._report())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._probe())
            for number in range(AT_ONCE):
                tasks.create_task(self._work(random.Random(number)))  # noqa: S311
            tasks.create_task(self._bursts(bursts, rows))
        reporting.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(15):  # what is under way still counts
                while self._tally.missing:
                    self._tally.report()
                    await asyncio.sleep(REPORT_SECONDS)
        looking.cancel()
        self._tally.report(event="stopped")

    async def _work(self, chance: random.Random) -> None:
        acts, weights = zip(*ACTS, strict=True)
        while not self.stop.is_set():
            (act,) = chance.choices(acts, weights)
            await act(chance.choice(self._students))
            await asyncio.sleep(chance.expovariate(1 / self._pause))

    async def _bursts(self, at: Sequence[float], rows: int) -> None:
        started = time.monotonic()
        for second in at:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), max(0.0, started + second - time.monotonic()))
            if self._interrupted:
                return
            begun = time.monotonic()
            for start in range(0, rows, BULK):
                student = self._students[start // BULK % PEOPLE]
                todos = [student.todo() for _ in range(min(BULK, rows - start))]
                await student.write("POST", "/api/todos/bulk", {"todos": todos})
            where = f"in {-(-rows // BULK)} transactions"
            self._tally.report(event="burst", rows=rows, where=where, took=round(time.monotonic() - begun, 3))

    async def _probe(self) -> None:
        """Send a message every 50 ms; its clock starts when the answer is here."""
        sender, receiver = self._students[:2]
        due = time.monotonic()
        while not self.stop.is_set():
            due += PROBE_SECONDS
            sent = await sender.write("POST", "/api/messages", {"receiverId": receiver.id, "body": "Are you there?"})
            if sent.is_success:
                self._tally.missing[sent.json()["id"]] = time.monotonic()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _look(self) -> None:
        """Look for what is missing in MongoDB, as anybody who reads there would."""
        missing = self._tally.missing
        while True:
            if missing:
                async for document in self._messages.find({"_id": {"$in": list(missing)}}, {"_id": 1}):
                    since = missing.pop(document["_id"])
                    self._tally.seen.append((since, round(time.monotonic() - since, 5)))
            await asyncio.sleep(0.002)

    async def _report(self) -> None:
        while True:
            self._tally.report()
            await asyncio.sleep(REPORT_SECONDS)


async def _main(options: argparse.Namespace) -> None:
    async with (
        httpx.AsyncClient(base_url=options.api, timeout=30) as api,
        AsyncMongoClient[dict[str, Any]](options.mongo) as client,
    ):
        school = School(api, client.get_default_database()["messages"], pause_seconds=options.pause)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, school.interrupt)
        await school.open()
        if options.seconds:
            loop.call_later(options.seconds, school.stop.set)
        await school.run(bursts=options.burst_at, rows=options.burst_rows)


def main() -> None:
    """Run until the time is over, or until SIGTERM."""
    parser = argparse.ArgumentParser(prog="studybuddy.students", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--api", required=True, help="address of the API")
    parser.add_argument("--mongo", required=True, help="URL of the database that is kept in step")
    parser.add_argument("--seconds", type=float, default=0.0, help="0: until SIGTERM")
    parser.add_argument("--pause", type=float, default=0.03, help="mean pause between two acts")
    parser.add_argument("--burst-at", type=float, action="append", default=[], help="second of a burst; several times")
    parser.add_argument("--burst-rows", type=int, default=0, help="todos of a burst")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
