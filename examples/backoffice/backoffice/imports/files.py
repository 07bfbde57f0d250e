"""Reading CSV and XLSX, a row at a time, with the line that a spreadsheet shows."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Literal

from openpyxl import load_workbook

from backoffice.imports.transform import Reject, Row

Format = Literal["csv", "xlsx"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORMATS: dict[str, Format] = {"text/csv": "csv", XLSX: "xlsx"}
COLUMNS, CELL, ROWS = 100, 1000, 2_000_000
UNPACKED = 256 * 1024 * 1024
"""So large may an XLSX be when it is unpacked: a small file can hold gigabytes of nothing."""
FORMULA = "=+-@\t\r"


class FileError(ValueError):
    """The file as a whole cannot be read."""


def rows(file: BinaryIO, format_: Format) -> Iterator[tuple[int, Row] | Reject]:
    """Give lines and rows, and rejects for lines that are no rows.

    Raises:
        FileError: it is no such file, has no header, or too many rows.

    """
    lines = _csv(file) if format_ == "csv" else _xlsx(file)
    try:
        _, header = next(lines, (0, []))
        names = _header(header)
        for count, (line, cells) in enumerate(lines):
            if count >= ROWS:
                raise FileError(f"there are more than {ROWS} rows")
            if any(cell not in (None, "") for cell in cells):
                yield _row(line, names, cells)
    except UnicodeDecodeError as error:
        raise FileError(f"it is not in UTF-8: {error.reason}") from None
    except csv.Error as error:
        raise FileError(f"it is no CSV: {error}") from None


def _header(cells: list[Any]) -> list[str]:
    names = [str(cell or "").strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names) or len(set(names)) < len(names):
        raise FileError("the first line must name the columns, each once")
    if len(names) > COLUMNS or max(map(len, names)) > 100 or "\0" in "".join(names):
        raise FileError(f"there may be {COLUMNS} columns, with names of 100 characters")
    return names


def _row(line: int, names: list[str], cells: list[Any]) -> tuple[int, Row] | Reject:
    while len(cells) > len(names) and cells[-1] in (None, ""):
        cells.pop()
    if len(cells) > len(names):
        return Reject(line, None, f"it has {len(cells)} cells, and the header {len(names)}")
    row: Row = {}
    for name, cell in zip(names, [*cells, *[None] * (len(names) - len(cells))], strict=True):
        text = None if cell is None else str(cell)
        if text is not None and (len(text) > CELL or "\0" in text):
            return Reject(line, name, f"it is longer than {CELL} characters, or holds a NUL")
        row[name] = _without_guard(text)
    return line, row


def _without_guard(text: str | None) -> str | None:
    """Take away the apostrophe that an export puts before what a spreadsheet would take for a formula."""
    return text[1:] if text and text[0] == "'" and text[1:2] and text[1] in FORMULA else text


def _csv(file: BinaryIO) -> Iterator[tuple[int, list[Any]]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        first = text.readline(65_536)
        separator = max(",;\t", key=first.count)
        reader = csv.reader(_and_then(first, text), delimiter=separator, strict=True)
        before = 0
        for cells in reader:
            yield before + 1, cells
            before = reader.line_num
    finally:
        with contextlib.suppress(ValueError):  # it is closed already
            text.detach()  # the file is the caller's


def _and_then(first: str, text: Iterable[str]) -> Iterator[str]:
    if first:
        yield first
    yield from text


def _xlsx(file: BinaryIO) -> Iterator[tuple[int, list[Any]]]:
    try:
        with zipfile.ZipFile(file) as packed:
            if sum(one.file_size for one in packed.infolist()) > UNPACKED:
                raise FileError(f"unpacked it is larger than {UNPACKED} bytes")
        file.seek(0)
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except FileError:
        raise
    except Exception as error:  # whatever a broken file makes the library raise
        raise FileError("it is no XLSX file") from error
    try:
        sheet = book.worksheets[0] if book.worksheets else None
        if sheet is None:
            raise FileError("it has no sheet")
        for line, cells in enumerate(sheet.iter_rows(values_only=True, max_col=COLUMNS + 1), start=1):
            yield line, list(cells)
    finally:
        book.close()
