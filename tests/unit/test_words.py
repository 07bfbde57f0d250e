"""Numbers with their nouns."""

from __future__ import annotations

from syncline.model.words import counted


def test_one_is_singular_and_all_others_are_plural():
    assert counted(1, "record") == "1 record"
    assert counted(0, "record") == "0 records"
    assert counted(12_345, "record") == "12,345 records"
    assert counted(2, "entity", "entities") == "2 entities"
