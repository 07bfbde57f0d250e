"""People who use backoffice while its tables move: each writes, and remembers what was acknowledged."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

OK = range(200, 300)
UNKNOWN = 503
LONGEST_SECONDS = 60.0


@dataclass(slots=True)
class Counts:
    """What the traffic has come to."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    again: int = 0
    """Requests that were sent again, as their answers said that nobody knows whether they are done."""
    acknowledged: list[str] = field(default_factory=list)
    """Codes of carriers whose creation was answered."""
    longest: float = 0.0
    """Seconds of the longest request since this was reset."""


class Traffic:
    """Threads that send requests, one after the other, to whichever process serves."""

    def __init__(self, port: int, email: str, password: str, *, people: int = 3) -> None:
        self.port = port
        self.counts = Counts()
        self._login = {"email": email, "password": password}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go, args=[number], daemon=True) for number in range(people)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End when every request is answered."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def asks_again(self, problem: Any) -> bool:  # noqa: ARG002
        """Tell whether an answer says that it is not known what became of the request, which may be sent again."""
        return False

    def _go(self, number: int) -> None:
        token = str(self._send("POST", "/api/auth/login", self._login, "")["token"])
        for count in itertools.count():
            if self._stop.wait(0.02):
                return
            code = f"P{number}N{count}"
            made = self._send("POST", "/api/carriers", {"code": code, "name": code}, token)
            if "id" not in made:
                continue
            self.counts.acknowledged.append(code)
            price = {"price": f"{number + 1}.90", "days": 1 + count % 5}
            self._send("PUT", f"/api/delivery/rates/{made['id']}/EU-1/1000", price, token)
            self._send("GET", f"/api/delivery/rates/{made['id']}", None, token)

    def _send(self, method: str, path: str, body: dict[str, Any] | None, token: str) -> dict[str, Any]:
        """Send a request over a connection of its own; what is no answer, or an error, is counted and kept."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read() or b"{}")
            status = answer.status
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.counts.failures.append(f"{method} {path}: {error}")
            return {}
        finally:
            connection.close()
            self.counts.requests += 1
            self.counts.longest = max(self.counts.longest, time.monotonic() - began)
        if status == UNKNOWN and self.asks_again(found):
            self.counts.again += 1
            return self._send(method, path, body, token)
        if status not in OK:
            why = found.get("detail", "") if isinstance(found, dict) else ""
            self.counts.failures.append(f"{method} {path}: {status} {why}".rstrip())
            return {}
        return found if isinstance(found, dict) else {"list": found}
