"""Lets a library that was linked against glibc 2.38 load on an older one (Debian 12 has 2.36).

Such a library wants a handful of symbols in a version that the older libc does not have. Each has an older twin that
does for our purpose: ``__isoc23_strtol`` and the like differ from ``strtol`` in accepting binary literals, ``fmod`` in
its error handling. The symbols are renamed to their twins, and the new version becomes a weak requirement.

The layout is that of the System V ABI and the Linux Standard Base (symbol versioning).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from syncline.errors import EngineError

NEW = "GLIBC_2.38"
OLDEST = ("GLIBC_2.2.5", "GLIBC_2.17")
"""The first version of glibc on x86-64 and on AArch64: what is in it is everywhere."""
RENAMED_PREFIX = "__isoc23_"
SAME_NAME = frozenset({"fmod"})

SHT_DYNSYM, SHT_VERNEED, SHT_VERSYM = 11, 0x6FFFFFFE, 0x6FFFFFFF
VER_FLG_WEAK = 2
VERSION_MASK = 0x7FFF
SYMBOL_BYTES = 24


@dataclass(frozen=True, slots=True)
class _Section:
    type: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class _Version:
    library: str
    name: str
    position: int


def lower_glibc(library: bytes) -> tuple[bytes, list[str]]:
    """Return the library without hard requirements of glibc 2.38, and the symbols that were changed.

    Doing it again changes nothing.

    Raises:
        EngineError: it is no 64-bit ELF library, or it needs a symbol without an older twin.

    """
    if library[:5] != b"\x7fELF\x02":
        raise EngineError("This is not a 64-bit ELF library.")
    image = bytearray(library)
    sections = list(_sections(image))
    symbols, versions_of, needed = (_only(sections, type_) for type_ in (SHT_DYNSYM, SHT_VERSYM, SHT_VERNEED))
    strings = sections[symbols.link].offset
    versions = dict(_needed_versions(image, needed.offset, strings))
    oldest = {version.library: index for index, version in versions.items() if version.name in OLDEST}
    changed = []
    for number in range(symbols.size // SYMBOL_BYTES):
        entry = versions_of.offset + 2 * number
        version = versions.get(_u16(image, entry) & VERSION_MASK)
        if version is None or version.name != NEW:
            continue
        symbol = symbols.offset + SYMBOL_BYTES * number
        name = _text(image, strings + _u32(image, symbol))
        if name.startswith(RENAMED_PREFIX):
            struct.pack_into("<I", image, symbol, _u32(image, symbol) + len(RENAMED_PREFIX))
        elif name not in SAME_NAME:
            raise EngineError(f"The library needs {name} of {NEW}, and no older function does the same.")
        struct.pack_into("<H", image, entry, oldest[version.library])
        changed.append(name)
    for version in versions.values():
        if version.name == NEW:
            flags = version.position + 4
            struct.pack_into("<H", image, flags, _u16(image, flags) | VER_FLG_WEAK)
    return bytes(image), changed


def _sections(image: bytearray) -> Iterator[_Section]:
    (table,) = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    for number in range(count):
        _, type_, _, _, offset, length, link, *_ = struct.unpack_from("<IIQQQQIIQQ", image, table + number * size)
        yield _Section(type_, offset, length, link)


def _only(sections: list[_Section], type_: int) -> _Section:
    for section in sections:
        if section.type == type_:
            return section
    raise EngineError("The library has no table of versioned symbols.")


def _needed_versions(image: bytearray, position: int, strings: int) -> Iterator[tuple[int, _Version]]:
    while True:
        _, count, library, first, step = struct.unpack_from("<HHIII", image, position)
        entry = position + first
        for _ in range(count):
            _, _, index, name, next_entry = struct.unpack_from("<IHHII", image, entry)
            yield index, _Version(_text(image, strings + library), _text(image, strings + name), entry)
            entry += next_entry
        if step == 0:
            return
        position += step


def _text(image: bytearray, position: int) -> str:
    return image[position : image.index(0, position)].decode()


def _u16(image: bytearray, position: int) -> int:
    value: int = struct.unpack_from("<H", image, position)[0]
    return value


def _u32(image: bytearray, position: int) -> int:
    value: int = struct.unpack_from("<I", image, position)[0]
    return value
