"""A file of keys: all lines are keys, or none is marked."""

from __future__ import annotations

import io

import pytest

from syncline.backfill.key_file import KeyFile
from syncline.errors import KeyFileError
from syncline.model.entity import Column
from syncline.model.keys import KeyCodec

ID = KeyCodec([Column("id", "bigint", "int8", 20)])
PAIR = KeyCodec([Column("region", "text", "text", 25), Column("n", "integer", "int4", 23)])


def keys(text: bytes, codec: KeyCodec = ID) -> list[str]:
    with KeyFile(io.BytesIO(text), codec, name="keys.txt") as file:
        assert list(file) == list(file)
        assert len(list(file)) == file.count
        return list(file)


def test_keys_as_operators_write_them():
    assert keys(b"5\n 7 \r\n\n-3") == ["5", "7", "-3"]
    assert keys('ü,1\n["a, b", 2]\n'.encode(), PAIR) == ['["ü", "1"]', '["a, b", "2"]']


def test_bad_lines_are_named_with_their_number():
    with pytest.raises(KeyFileError, match=r"keys.txt: line 2: 'x' is not a key \(id bigint\); line 4: not UTF-8"):
        keys(b"1\nx\n3\n\xff\n")


def test_of_many_bad_lines_some_are_named_and_all_counted():
    with pytest.raises(KeyFileError, match=r"line 10: .*; and 15 more") as caught:
        keys(b"x\n" * 25)
    assert "line 11:" not in caught.value.message


def test_an_empty_file_is_a_mistake():
    with pytest.raises(KeyFileError, match="has no keys"):
        keys(b"\n\n")


def test_more_keys_than_fit_into_memory_are_on_disk(monkeypatch):
    monkeypatch.setattr("syncline.backfill.key_file.IN_MEMORY", 64)
    text = b"".join(b"%d\n" % n for n in range(1000))
    assert keys(text) == [str(n) for n in range(1000)]
