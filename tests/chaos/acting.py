"""Threads that act until they are stopped, and rest while they are told to: writers, operators, vandals, readers."""

from __future__ import annotations

import threading

REST_SECONDS = 60.0


class Acting(threading.Thread):
    """One of them; ``crash`` is what ended it, if anything did."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.crash: BaseException | None = None
        self._ended = threading.Event()
        self._resting = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def pause(self) -> None:
        """Do no more until ``resume``; returns when nothing is under way."""
        self._resting.clear()
        self._running.clear()
        self._resting.wait(REST_SECONDS)

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._running.set()
        self.join(30)

    def run(self) -> None:
        try:
            self._go_on()
        except BaseException as error:
            self.crash = error
            raise

    def _go_on(self) -> None:
        """Act until it is stopped."""
        raise NotImplementedError

    def _goes_on(self) -> bool:
        """Rest if that is wanted; false when it is stopped."""
        if not self._running.is_set():
            self._resting.set()
            self._running.wait()
        return not self._ended.is_set()
