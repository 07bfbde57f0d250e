"""A client that costs little, so that what is measured is the application: HTTP/1.1 over kept connections.

``python -m benchmarks.http_client PLAN``: PLAN is a JSON file of ``{base, rate | clients, seconds, requests}``; a
request is ``[method, path, headers, body]``, where ``{n}`` in path and body is replaced by the request's number. Prints
milliseconds as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Connection:
    """One kept connection."""

    def __init__(self, host: str, port: int) -> None:
        self._at = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
        """Send a request, read the whole answer, return its status."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._at)
        reader, writer = self._streams
        lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lengths = [line.partition(":")[2] for line in head.splitlines() if line.lower().startswith("content-length")]
        await reader.readexactly(int(lengths[0]) if lengths else 0)  # a 204 has none
        return int(head.split(" ", 2)[1])


class Load:
    """Requests in turn, at a fixed rate or by so many clients, each waiting for its answer."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        host, _, port = plan["base"].removeprefix("http://").partition(":")
        self._free = [Connection(host, int(port)) for _ in range(plan.get("clients", 1))]
        self._at = host, int(port)
        self._numbers: Iterator[int] = itertools.count(plan.get("first", 0))
        self.took: list[float] = []
        self.bad: list[str] = []

    async def at_rate(self) -> None:
        """Open loop: a request is late from the moment it was due, however long those before it take."""
        began, rate = time.monotonic(), self._plan["rate"]
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * self._plan["seconds"])):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                tasks.create_task(self._one(due))

    async def by_clients(self) -> None:
        """Closed loop, as fast as it goes."""
        end = time.monotonic() + self._plan["seconds"]

        async def client() -> None:
            while time.monotonic() < end:
                await self._one(time.monotonic())

        await asyncio.gather(*(client() for _ in range(self._plan["clients"])))

    async def _one(self, due: float) -> None:
        number = next(self._numbers)
        requests = self._plan["requests"]
        method, path, headers, body = requests[number % len(requests)]
        connection = self._free.pop() if self._free else Connection(*self._at)
        text = json.dumps(body).replace("{n}", str(number)) if body is not None else ""
        more = {"Content-Type": "application/json"} if text else {}
        status = await connection.request(method, path.replace("{n}", str(number)), headers | more, text.encode())
        self._free.append(connection)
        if status < 400:
            self.took.append((time.monotonic() - due) * 1e3)
        else:
            self.bad.append(f"{status} {path}")


async def main(file: str) -> None:
    plan = json.loads(Path(file).read_text("utf-8"))
    load = Load(plan)
    await (load.at_rate() if "rate" in plan else load.by_clients())
    print(json.dumps({"took": load.took, "bad": load.bad}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
