"""Keys that somebody has in a file, one a line: all of them are checked before the first is believed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

from syncline.errors import KeyFileError, KeyFormatError
from syncline.model.keys import KeyCodec

NAMED = 10
"""Bad lines that are named; their number is told."""
IN_MEMORY = 4 * 1024 * 1024


class KeyFile:
    """The key texts of a file, read and checked once, spooled to disk: there may be more than fit into memory.

    A line is a key as operators write it (``5``, ``1,x``, ``["1", "x"]``). Empty lines are passed over.
    """

    def __init__(self, lines: BinaryIO, codec: KeyCodec, *, name: str) -> None:
        """Read the whole file.

        Raises:
            KeyFileError: lines are no keys, or there is none at all.

        """
        self._spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  closed by close()
        self.count = 0
        try:
            self._read(lines, codec, name)
        except BaseException:
            self.close()
            raise

    def _read(self, lines: BinaryIO, codec: KeyCodec, name: str) -> None:
        bad: list[str] = []
        wrong = 0
        for number, line in enumerate(lines, 1):
            try:
                text = line.decode("utf-8").rstrip("\r\n")
                if not text.strip():
                    continue
                key = codec.parse_operator(text).encode()
            except UnicodeDecodeError:
                wrong += 1
                bad.append(f"line {number}: not UTF-8")
            except KeyFormatError as error:
                wrong += 1
                bad.append(f"line {number}: {error.message}")
            else:
                self._spool.write(len(key).to_bytes(4) + key)
                self.count += 1
            del bad[NAMED:]
        if bad:
            more = f"; and {wrong - NAMED} more" if wrong > NAMED else ""
            raise KeyFileError(f"{name}: {'; '.join(bad)}{more}", hint=f"one key a line, for example {codec.example()}")
        if not self.count:
            raise KeyFileError(f"{name} has no keys", hint=f"one key a line, for example {codec.example()}")

    def __iter__(self) -> Iterator[str]:
        """Give the key texts, in the order of the file."""
        self._spool.seek(0)
        while size := self._spool.read(4):
            yield self._spool.read(int.from_bytes(size)).decode()

    def close(self) -> None:
        """Forget them."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
