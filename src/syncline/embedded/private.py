"""What private servers have in common: a folder, sockets of their own, perhaps a port, and an end with us."""

from __future__ import annotations

import shutil
import weakref
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from syncline.embedded.paths import choose_port, socket_folder
from syncline.embedded.process import ServerProcess
from syncline.errors import EngineError


class Controlled:
    """What ends, kills and freezes the process of a server; whoever starts it sets ``_process``."""

    _process: ServerProcess | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int | None:
        """The process of the last start; what else belongs to the server is below it."""
        return self._process.pid if self._process is not None else None

    def stop(self) -> None:
        """Shut down in order, ending the open connections."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Cut the power: SIGKILL for every process of the server. ``start()`` then recovers from its log."""
        if self._process is not None:
            self._process.kill()

    def freeze(self) -> None:
        """Stop every process where it is: connections stay open and nothing answers."""
        if self._process is not None:
            self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self._process is not None:
            self._process.thaw()


class PrivateServer(Controlled, ABC):
    """A server of our own on a socket in a private folder; it ends with us. ``data_dir`` is made, and kept."""

    def __init__(self, data_dir: Path, tcp_port: int | None) -> None:
        """Prepare only; ``tcp_port`` also opens that port of the loopback interface (0 for any free one)."""
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir.with_name(self.data_dir.name + ".log")
        self.tcp_port = None if tcp_port is None else choose_port(tcp_port)
        self._sockets = socket_folder()
        weakref.finalize(self, shutil.rmtree, self._sockets, ignore_errors=True)

    @abstractmethod
    def start(self) -> Self:
        """Start and wait until it can be used. Does nothing if it runs.

        Raises:
            EngineError: there is no server, or it did not start; the message has the end of its log.

        """

    @property
    @abstractmethod
    def url(self) -> str:
        """The address of the socket; it stays the same over stops and kills."""

    @property
    def tcp_url(self) -> str:
        """The address on the loopback interface.

        Raises:
            EngineError: the server was made without a port.

        """
        if self.tcp_port is None:
            raise EngineError("This server has no TCP port.", hint="Give tcp_port when you make it.")
        return self._address(self.tcp_port)

    @abstractmethod
    def _address(self, port: int) -> str: ...

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()
