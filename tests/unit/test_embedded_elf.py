"""Lowering the glibc requirement of a library, on the smallest library that has one."""

import struct

import pytest

from syncline.embedded.elf import lower_glibc
from syncline.errors import EngineError

STRINGS = b"\0libc.so.6\0GLIBC_2.2.5\0GLIBC_2.38\0__isoc23_strtol\0malloc\0strlcpy\0"


def name_at(text: bytes) -> int:
    return STRINGS.index(b"\0" + text + b"\0") + 1


def library(*symbols: tuple[bytes, int]) -> bytes:
    """Version 2 is GLIBC_2.2.5, version 3 is GLIBC_2.38."""
    dynsym = b"".join(struct.pack("<I20x", name_at(name)) for name, _ in symbols)
    versym = b"".join(struct.pack("<H", version) for _, version in symbols)
    verneed = struct.pack("<HHIII", 1, 2, name_at(b"libc.so.6"), 16, 0)
    verneed += struct.pack("<IHHII", 0, 0, 2, name_at(b"GLIBC_2.2.5"), 16)
    verneed += struct.pack("<IHHII", 0, 0, 3, name_at(b"GLIBC_2.38"), 0)
    contents = [(0, b"", 0), (11, dynsym, 4), (0x6FFFFFFF, versym, 1), (0x6FFFFFFE, verneed, 4), (3, STRINGS, 0)]
    body, headers, position = b"", b"", 64 + 64 * len(contents)
    for type_, content, link in contents:
        headers += struct.pack("<IIQQQQIIQQ", 0, type_, 0, 0, position, len(content), link, 0, 1, 0)
        body, position = body + content, position + len(content)
    start = (
        b"\x7fELF\x02".ljust(40, b"\0") + struct.pack("<Q", 64) + bytes(10) + struct.pack("<HHH", 64, len(contents), 4)
    )
    return start + headers + body


def test_new_symbols_become_their_older_twins():
    before = library((b"__isoc23_strtol", 3), (b"malloc", 2))
    after, changed = lower_glibc(before)
    assert changed == ["__isoc23_strtol"]
    assert after.count(struct.pack("<I20x", name_at(b"__isoc23_strtol") + len("__isoc23_"))) == 1
    assert struct.pack("<HH", 2, 2) in after


def test_the_new_version_becomes_a_weak_requirement():
    after, _ = lower_glibc(library((b"__isoc23_strtol", 3)))
    assert struct.pack("<IHHII", 0, 2, 3, name_at(b"GLIBC_2.38"), 0) in after


def test_doing_it_again_changes_nothing():
    once, _ = lower_glibc(library((b"__isoc23_strtol", 3), (b"malloc", 2)))
    assert lower_glibc(once) == (once, [])


def test_a_symbol_without_an_older_twin_is_named():
    with pytest.raises(EngineError, match=r"strlcpy of GLIBC_2\.38"):
        lower_glibc(library((b"strlcpy", 3)))


def test_something_else_is_refused():
    with pytest.raises(EngineError, match="not a 64-bit ELF"):
        lower_glibc(b"#!/bin/sh\n")
