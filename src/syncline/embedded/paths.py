"""Where the engines live: the cache, and short private folders for sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path

from syncline.errors import EngineError

LOOPBACK = "127.0.0.1"


def cache_dir() -> Path:
    """Return the folder for what is made once: ``$SYNCLINE_CACHE``, else the user's cache; there ``syncline``."""
    own = os.environ.get("SYNCLINE_CACHE")
    general = os.environ.get("XDG_CACHE_HOME")
    base = Path(own) if own else Path(general) if general else Path.home() / ".cache"
    return base.absolute() / "syncline"


def socket_folder() -> Path:
    """Make a folder that only this user can enter, with a name short enough for the 107 bytes of a socket address."""
    return Path(tempfile.mkdtemp(prefix="syncline-", dir="/tmp"))


def choose_port(wanted: int) -> int:
    """Return a port of the loopback interface that nobody listens on: the one wanted, or any for 0.

    Raises:
        EngineError: somebody listens there.

    """
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise EngineError(
                f"Port {wanted} of {LOOPBACK} cannot be used: {error.strerror}.",
                hint="Choose another port, or 0 for any free one.",
            ) from error
        port: int = probe.getsockname()[1]
        return port
