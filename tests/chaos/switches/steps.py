"""Being told of each step of the coordinators of a process, before it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from syncline.split.switching import coordinator
from syncline.split.switching.move import Step


def tell_steps(tell: Callable[[Step], None]) -> None:
    """Tell of them from now on; whoever is told already still is, afterwards."""
    made: Callable[..., None] = coordinator.Coordinator.__init__

    @functools.wraps(made)
    def telling(self: Any, *args: Any, told: Callable[[Step], None] | None = None, **options: Any) -> None:
        def both(step: Step) -> None:
            tell(step)
            if told:
                told(step)

        made(self, *args, told=both, **options)

    coordinator.Coordinator.__init__ = telling  # type: ignore[method-assign]
