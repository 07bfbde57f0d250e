"""One worker for many links: ``python -m benchmarks.tenants_worker FILE``.

On SIGUSR1 it prints as JSON when each change that was written since the last one was in the target, durably.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.product import serve_links

seen: dict[str, float] = {}


def applied(key: str, note: str) -> None:
    """Note a change of a tenant's one record."""
    seen[f"{key}/{note}"] = time.monotonic()


def report() -> None:
    print(json.dumps(seen), flush=True)
    seen.clear()


async def main(file: str) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, report)
    print("ready", flush=True)
    await serve_links(Path(file), applied)


if __name__ == "__main__":
    arguments: Any = sys.argv[1:]
    asyncio.run(main(*arguments))
