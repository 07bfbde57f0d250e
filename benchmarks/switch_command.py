"""`python -m benchmarks.switch_command FILE split switch …`: the command, which also notes when each step began."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from syncline.split.switching.coordinator import Coordinator
from syncline.split.switching.move import Step


def main() -> None:
    """Note the steps in FILE, and be the command."""
    from syncline.cli.main import main as command

    file = Path(sys.argv.pop(1))
    made: Callable[..., None] = Coordinator.__init__
    steps: list[tuple[str, float]] = []

    @functools.wraps(made)
    def noting(self: Any, *args: Any, told: Callable[[Step], None] | None = None, **options: Any) -> None:
        def telling(step: Step) -> None:
            steps.append((step.name.lower(), time.monotonic()))
            if told:
                told(step)

        made(self, *args, told=telling, **options)

    Coordinator.__init__ = noting  # type: ignore[method-assign]
    try:
        command()
    finally:
        file.write_text(json.dumps(steps))


if __name__ == "__main__":
    main()
