"""MongoDB's engine as a library: its C interface, called from Python.

A command goes in as BSON and its reply comes out as BSON. The calls release the interpreter lock.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

from syncline.errors import EngineError


class _Buffer(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Options(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_size_t),
        ("cache_mb", ctypes.c_uint32),
        ("journal_kb", ctypes.c_uint32),
        ("preallocate", ctypes.c_uint32),
    )


class Engine:
    """The engine on one data directory. A process can have one."""

    def __init__(self, library: Path, data_dir: Path, *, cache_mb: int = 0) -> None:
        """Open the directory, recovering it if the last process died.

        Raises:
            EngineError: the library does not load, or the directory cannot be opened.

        """
        try:
            self._library: Any = ctypes.CDLL(str(library))
        except OSError as error:
            raise EngineError(f"The MongoDB engine does not load: {error}") from error
        self._library.embedded_mongodb_free.argtypes = [ctypes.c_void_p]
        self._library.embedded_mongodb_free.restype = None
        self._handle = ctypes.c_void_p()
        path = os.fsencode(data_dir)
        options = _Options(ctypes.sizeof(_Options), cache_mb, 0, 0)
        self._call("initialize", None)
        self._call(
            "open_with_options",
            path,
            ctypes.c_size_t(len(path)),
            ctypes.byref(options),
            ctypes.byref(self._handle),
        )

    def session(self) -> Session:
        """Open a session; each is for one thread at a time, and its cursors end with it."""
        return Session(self)

    def close(self) -> None:
        """Write a checkpoint and let go of the directory. The sessions must be closed already."""
        self._call("close", self._handle)

    def _call(self, function: str, *arguments: Any) -> None:
        error = ctypes.c_void_p()
        if getattr(self._library, f"embedded_mongodb_{function}")(*arguments, ctypes.byref(error)):
            message = "unknown error"
            if error.value:
                message = ctypes.string_at(error.value).decode(errors="replace")
                self._library.embedded_mongodb_free(error)
            raise EngineError(message)


class Session:
    """One client's view of the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._handle = ctypes.c_void_p()
        engine._call("session_open", engine._handle, ctypes.byref(self._handle))  # noqa: SLF001 - one module, one handle

    def run(self, database: str, command: bytes) -> bytes:
        """Run a command.

        Raises:
            EngineError: the engine has no reply, not even one that reports an error.

        """
        reply = _Buffer()
        name = database.encode()
        self._engine._call(  # noqa: SLF001
            "session_run_command",
            self._handle,
            name,
            ctypes.c_size_t(len(name)),
            command,
            ctypes.c_size_t(len(command)),
            ctypes.byref(reply),
        )
        try:
            return ctypes.string_at(reply.data or 0, reply.length)
        finally:
            self._engine._library.embedded_mongodb_free(reply.data)  # noqa: SLF001

    def close(self) -> None:
        self._engine._call("session_close", self._handle)  # noqa: SLF001
