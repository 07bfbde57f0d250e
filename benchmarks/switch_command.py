"""`python -m benchmarks.switch_command FILE split switch …`: the command, which also notes when each step began."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.chaos.switches.steps import tell_steps


def main() -> None:
    """Note the steps in FILE, and be the command."""
    from syncline.cli.main import main as command

    file = Path(sys.argv.pop(1))
    steps: list[tuple[str, float]] = []
    tell_steps(lambda step: steps.append((step.name.lower(), time.monotonic())))
    try:
        command()
    finally:
        file.write_text(json.dumps(steps))


if __name__ == "__main__":
    main()
