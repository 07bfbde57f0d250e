"""Where the demo shows itself: a live view on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.text import Text

from syncline.demo.environment import Environment
from syncline.demo.picture import Picture
from syncline.demo.view import plain_line, view

LINE_SECONDS = 2.0


class Display(Protocol):
    """Shows what happens."""

    def preparing(self, step: str) -> None:
        """Show a step of the set-up."""
        ...

    def begin(self, environment: Environment) -> None:
        """The databases are there; say how to connect to them."""
        ...

    def show(self, picture: Picture) -> None:
        """Show the state of things; called a few times a second."""
        ...

    def say(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        ...

    def end(self) -> None:
        """Give the terminal back. Safe to call at any time, more than once."""
        ...


class LiveDisplay:
    """A view that is drawn over and over in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._live: Live | None = None
        self._engines = ("", "")
        self._ways_in: Sequence[tuple[str, str]] = ()

    def preparing(self, step: str) -> None:
        """Show the step beside a spinner."""
        if self._status is None:
            self._status = self._console.status(step)
            self._status.start()
        self._status.update(f"{step} …")

    def begin(self, environment: Environment) -> None:
        """Begin the live view."""
        self._stop_status()
        self._engines, self._ways_in = (environment.postgres, environment.mongo), environment.ways_in()
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def show(self, picture: Picture) -> None:
        """Draw it."""
        if self._live is not None:
            width, height = self._console.size
            self._live.update(view(picture, self._engines, self._ways_in, width, height), refresh=True)

    def say(self, text: str, style: str = "") -> None:
        """Print it below the view, or above it while that is live."""
        self._stop_status()
        self._console.print(Text(text, style))

    def end(self) -> None:
        """Leave the last view on the terminal."""
        self._stop_status()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _stop_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


class PlainDisplay:
    """Lines: what happens when it happens, and the numbers every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._noted = 0
        self._due = 0.0

    def preparing(self, step: str) -> None:
        """Print the step."""
        self.say(step)

    def begin(self, environment: Environment) -> None:
        """Print how to connect."""
        for name, command in environment.ways_in():
            self.say(f"{name}: {command}")

    def show(self, picture: Picture) -> None:
        """Print what is new."""
        for _, text in picture.events[self._noted :]:
            self.say(text)
        self._noted = len(picture.events)
        if picture.now >= self._due:
            self._due = picture.now + LINE_SECONDS
            self.say(plain_line(picture))

    def say(self, text: str, style: str = "") -> None:
        """Print it with the time since the start."""
        self._console.print(Text(f"{time.monotonic() - self._started:6.1f} s  {text}", style), soft_wrap=True)

    def end(self) -> None:
        """Nothing to give back."""


def display_for(console: Console) -> Display:
    """Choose by what the output is."""
    return LiveDisplay(console) if console.is_terminal and not console.is_dumb_terminal else PlainDisplay(console)
