"""Findings written to a file as they are made, so that a million of them need no memory; and read back by ``repair``.

The file has a line of JSON for each finding, ``{"finding": {…}}``, and a last one for the whole, ``{"report": {…}}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from syncline.errors import SynclineError
from syncline.model.json_names import camelled
from syncline.verify.render import finding_as_dict
from syncline.verify.report import Finding

MAKE_ONE = "make one: syncline verify --report report.jsonl"


class Taker(Protocol):
    """Whoever takes findings as they are made."""

    async def take(self, findings: Sequence[Finding]) -> None:
        """Take in some."""
        ...

    def position(self) -> int:
        """Say how much was taken durably, for a pass that goes on later."""
        ...

    def rewind(self, position: int) -> None:
        """Forget what was taken after that."""
        ...


class ReportFile:
    """Takes findings into a file.

    Args:
        path: the file; it is replaced, or with ``resume`` gone on with.
        resume: keep what is there until ``rewind`` says up to where.

    Raises:
        SynclineError: it cannot be written.

    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        with _writable(path):
            self._file = path.open("r+b" if resume and path.exists() else "wb")

    async def take(self, findings: Sequence[Finding]) -> None:
        """Write some, a line each."""
        self._write([{"finding": finding_as_dict(finding)} for finding in findings])

    def position(self) -> int:
        """Bring what was written to the disk; give the file's length."""
        with _writable(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._file.tell()

    def rewind(self, position: int) -> None:
        """Cut off what was written after that, perhaps by a pass that was killed."""
        self._file.truncate(position)
        self._file.seek(position)

    def end(self, report: Mapping[str, Any]) -> None:
        """Write the last line and close the file."""
        self._write([{"report": report}])
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        with _writable(self.path):
            self._file.close()

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with _writable(self.path):
            self._file.writelines(
                json.dumps(camelled(line), ensure_ascii=False).encode("utf-8", "replace") + b"\n" for line in lines
            )


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Say of which file it is that the disk is full, or gone."""
    try:
        yield
    except OSError as error:
        raise SynclineError(f"{path} cannot be written: {error.strerror}") from error


def keys_in(path: Path, *, without: Container[str] = ()) -> Iterator[tuple[str, str]]:
    """Read entity and key of each divergent record out of a report: a file of ``--report``, or ``--json``'s output.

    Findings without a key (foreign ids) are left out, and those of the kinds ``without``.

    Raises:
        SynclineError: it is no such report, or cannot be read.

    """
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline()
            if first.startswith(('{"finding"', '{"report"')):
                found: Iterator[tuple[str, Any]] = chain.from_iterable(map(_of_line, chain([first], file)))
            else:
                found = _of_report(json.loads(first + file.read()))
            for entity, one in found:
                if one["key"] is not None and one.get("kind") not in without:
                    yield entity, one["key"]
    except OSError as error:
        raise SynclineError(f"{path} cannot be read: {error.strerror}", hint=MAKE_ONE) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SynclineError(f"{path} is not the report of a verification", hint=MAKE_ONE) from error


def _of_line(line: str) -> Iterator[tuple[str, Any]]:
    if not line.endswith("\n"):  # of a verification that was killed
        return
    finding = json.loads(line).get("finding")
    if finding is not None:
        yield finding["entity"], finding


def _of_report(report: Any) -> Iterator[tuple[str, Any]]:
    for one in report["entities"]:
        for finding in one["findings"]:
            yield one["entity"], finding
