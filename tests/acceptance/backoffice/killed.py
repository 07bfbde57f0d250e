"""An import, killed before or after one of its commits: run in a process of its own, which kills itself.

``python -m tests.acceptance.backoffice.killed CODE USER`` prints, for each try, the act, when it was killed,
and the signal: one fork for each, made before anything is opened.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import sys

from backoffice.callers import Caller
from backoffice.imports.transform import Transform
from backoffice.services import Services
from backoffice.settings import Settings
from sqlalchemy import event
from sqlalchemy.orm import Session

POINTS = ((1, "before"), (2, "before"), (3, "before"), (3, "after"))
"""Of the commits of each act, to PRIMARY, DATA and PRIMARY: whatever else happens changes nothing that stays."""
TRIES = [(act, *point) for act in ("stage", "commit", "discard") for point in POINTS]


def die_at(commit: int, when: str) -> None:
    """Kill this process at its n-th commit."""
    seen = {"before": 0, "after": 0}

    def reached(now: str) -> None:
        seen[now] += 1
        if (seen[now], now) == (commit, when):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Session, "before_commit", lambda _: reached("before"))
    event.listen(Session, "after_commit", lambda _: reached("after"))


async def act(number: int, code: str, user_id: int, what: str, commit: int, when: str) -> None:
    services = Services.make(Settings(hash_memory_kib=32))
    caller = Caller(
        1, user_id, "root@example.org", "Root", 1, "administrator", True, frozenset(), dt.datetime.now(dt.UTC)
    )
    row = {"carrier": code, "zone": f"T{number}", "to_grams": "1000", "price": "4.90", "days": "2"}
    if what == "stage":
        die_at(commit, when)
    import_id = await services.imports.begin(caller, f"try {number}", "csv", None)
    await services.imports.stage(import_id, lambda: iter([(2, row)]), Transform([]))
    die_at(commit, when)
    await getattr(services.imports, what)(import_id, caller)


def main() -> None:
    for number, (what, commit, when) in enumerate(TRIES):
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(act(number, sys.argv[1], int(sys.argv[2]), what, commit, when))
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1
        told = {"number": number, "act": what, "commit": commit, "when": when, "signal": died}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()  # before the next fork, which would say it again


if __name__ == "__main__":
    main()
