"""`python -m benchmarks.transform_player FILE`: an upload that is staged, as backoffice does it; says what it took.

In backoffice's folder, with its environment. Prints JSON: rows, rejects, seconds, and the megabytes that were resident
before, after a tenth, and at most.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backoffice.callers import Caller
from backoffice.imports.files import rows
from backoffice.imports.steps import Step
from backoffice.imports.transform import Reject, Row, Transform
from backoffice.services import Services
from backoffice.settings import Settings
from pydantic import TypeAdapter

from benchmarks.stage import resident_megabytes

STEPS = [
    {"do": "rename", "column": "Region", "to": "zone"},
    {"do": "trim"},
    {"do": "map", "column": "carrier", "values": {"Post": "DHL"}},
    {"do": "default", "column": "days", "value": "3"},
    {"do": "parse", "column": "price", "kind": "decimal", "decimalSign": ","},
    {"do": "validate", "column": "zone", "shape": "A9999"},
]
EVERY = 10_000
"""Rows between two looks at the memory."""


async def main(file: Path, count: int) -> dict[str, Any]:
    """Stage the file."""
    services = Services.make(Settings(hash_memory_kib=32))
    caller = Caller(1, 1, "root@example.org", "Root", 1, "administrator", True, frozenset(), dt.datetime.now(dt.UTC))
    transform = Transform(TypeAdapter[list[Step]](list[Step]).validate_python(STEPS))
    seen: list[float] = []

    def read() -> Iterator[tuple[int, Row] | Reject]:
        with file.open("rb") as opened:
            for number, one in enumerate(rows(opened, "csv")):
                if number % EVERY == 0:
                    seen.append(resident_megabytes(os.getpid()))
                yield one

    import_id = await services.imports.begin(caller, "a benchmark", "csv", None)
    before, began = resident_megabytes(os.getpid()), time.perf_counter()
    await services.imports.stage(import_id, read, transform)
    seconds = time.perf_counter() - began
    await services.databases.aclose()
    tenth = seen[count // EVERY // 10]
    return {"seconds": seconds, "before": before, "tenth": tenth, "most": max(*seen, resident_megabytes(os.getpid()))}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))))
