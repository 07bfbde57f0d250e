"""What every repository answers, as tests: subclass ``RepositoryContract`` and give it a fixture ``repository``.

    class TestMine(RepositoryContract):
        @pytest.fixture
        def repository(self):
            return MyRepository(...)  # of the collection of repository_questions.TASKS, empty, ``email`` unique

The tests are asynchronous, and the repository may be: run them with pytest-asyncio in ``auto`` mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any

import pytest

from syncline.errors import AlreadyThereError, RepositoryError
from syncline.phases.repositories import Between, Contains, Not, StartsWith
from syncline.testing.repository_questions import (
    DOCUMENTS,
    FULL,
    IMPOSSIBLE,
    ORDERS,
    QUESTIONS,
    moment,
    oid,
)


async def ask(answer: Any) -> Any:
    """Wait for an answer if it is to be awaited."""
    return await answer if isawaitable(answer) else answer


def with_value(number: int, path: str, value: Any) -> dict[str, Any]:
    """Make a document with a value at a path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return {"_id": oid(number), **value}


class RepositoryContract:
    """The answers of a repository."""

    async def fill(self, repository: Any, path: str, values: Sequence[Any]) -> None:
        """Add documents 0, 1, …, and one without such a field."""
        for number, value in enumerate(values):
            await ask(repository.create(with_value(number, path, value)))
        await ask(repository.create({"_id": oid(len(values)), "other": 1}))

    async def numbers(self, answer: Any) -> list[int]:
        """Give the numbers of the documents of a list."""
        return [int(str(one["_id"]), 16) for one in await ask(answer)]

    @pytest.mark.parametrize("path", [*dict.fromkeys(path for path, _, _ in QUESTIONS)])
    async def test_conditions_find_the_same(self, repository: Any, path: str) -> None:
        """Each value stands for itself: no other type, no default, no element is taken for it."""
        await self.fill(repository, path, DOCUMENTS.get(path, ({}, {})) if path != "_id" else ())
        if path == "_id":
            for number in (1, 2):
                await ask(repository.create({"_id": oid(number)}))
        for _, condition, expected in (one for one in QUESTIONS if one[0] == path):
            where = {path: condition}
            assert await self.numbers(repository.list(where)) == expected, where
            assert await ask(repository.count(where)) == len(expected), where
            assert await ask(repository.exists(where)) is bool(expected), where

    @pytest.mark.parametrize(("path", "values", "expected"), ORDERS, ids=[path for path, _, _ in ORDERS])
    async def test_the_order_is_the_same(
        self, repository: Any, path: str, values: Sequence[Any], expected: Sequence[int]
    ) -> None:
        """Null and missing first, texts by their code points, no number before the numbers, then by ``_id``."""
        await self.fill(repository, path, values)
        assert await self.numbers(repository.list(sort=[path])) == list(expected)
        falling = await self.numbers(repository.list(sort=[f"-{path}", "-_id"]))
        assert falling == list(reversed(expected))

    async def test_several_conditions(self, repository: Any) -> None:
        """All of a mapping, one of several mappings."""
        for number in range(6):
            await ask(repository.create({"_id": oid(number), "priority": number % 3, "open": number < 3}))
        assert await self.numbers(repository.list({"priority": 1, "open": True})) == [1]
        assert await self.numbers(repository.list([{"priority": 0}, {"open": True, "priority": 2}])) == [0, 2, 3]
        assert await self.numbers(repository.list([])) == []
        assert await self.numbers(repository.list({})) == await self.numbers(repository.list()) == [*range(6)]

    async def test_pages_are_parts_of_one_order(self, repository: Any) -> None:
        """Also where all values are the same; a page of none is empty."""
        for number in (5, 3, 1, 4, 2, 0):
            await ask(repository.create({"_id": oid(number), "priority": 1}))
        pages = [await self.numbers(repository.list(sort=["-priority"], limit=2, offset=at)) for at in (0, 2, 4, 6)]
        assert pages == [[0, 1], [2, 3], [4, 5], []]
        assert await self.numbers(repository.list(limit=0)) == []
        for wrong in ({"limit": -1}, {"offset": -1}):
            with pytest.raises(RepositoryError, match="below 0"):
                await ask(repository.list(**wrong))

    async def test_a_document_comes_back_as_it_was(self, repository: Any) -> None:
        """All fields, their types and their order; what has no column, too."""
        created = await ask(repository.create({"_id": oid(1), **FULL}))
        found = await ask(repository.get(oid(1)))
        assert repr(found) == repr(created) == repr({"_id": oid(1), **FULL})
        assert await ask(repository.get(str(oid(1)))) == found
        assert repr(await ask(repository.list())) == repr([found])

    async def test_dates_have_milliseconds(self, repository: Any) -> None:
        """What is finer is cut off, in what ``create`` and ``update`` give as well."""
        created = await ask(repository.create({"due": moment(1, 123_999)}))
        assert created["due"] == moment(1, 123_000)
        changed = await ask(repository.update(created["_id"], {"due": moment(2, 999)}))
        assert changed["due"] == (await ask(repository.get(created["_id"])))["due"] == moment(2)

    async def test_a_long_text_is_found(self, repository: Any) -> None:
        """As long as both databases take it, whatever has to be escaped."""
        title = "aB[" * 2666
        await ask(repository.create({"_id": oid(1), "title": f"-{title}-"}))
        found = await ask(repository.list({"title": Contains(title.swapcase(), ignore_case=True)}))
        assert await self.numbers(repository.list({"title": StartsWith(f"-{title}")})) == [1]
        assert [one["_id"] for one in found] == [oid(1)]

    async def test_unknown_ids(self, repository: Any) -> None:
        """An id that none can have is the id of nothing."""
        for unknown in (oid(9), str(oid(9)), "", "no id", 5, None, 2**70, {"a": 1}):
            assert await ask(repository.get(unknown)) is None
            assert await ask(repository.update(unknown, {"title": "x"})) is None
            assert await ask(repository.delete(unknown)) is False
        assert await ask(repository.count()) == 0

    async def test_get_by(self, repository: Any) -> None:
        """Of several the one of the lowest id."""
        for number in (2, 1):
            await ask(repository.create({"_id": oid(number), "title": "same"}))
        assert (await ask(repository.get_by("title", "same")))["_id"] == oid(1)
        assert await ask(repository.get_by("title", "Same")) is None

    async def test_create_gives_an_id(self, repository: Any) -> None:
        """The caller's mapping stays as it was."""
        given = {"title": "x"}
        created = await ask(repository.create(given))
        assert given == {"title": "x"}
        assert await ask(repository.get(created["_id"])) == created

    async def test_what_is_there_already(self, repository: Any) -> None:
        """The error names the field; nothing is written."""
        await ask(repository.create({"_id": oid(1), "email": "a@example.org"}))
        await ask(repository.create({"_id": oid(2)}))
        await ask(repository.create({"_id": oid(3)}))
        for path, new in (("_id", {"_id": oid(1), "email": "b"}), ("email", {"email": "a@example.org"})):
            with pytest.raises(AlreadyThereError) as caught:
                await ask(repository.create(new))
            assert caught.value.field == path
        with pytest.raises(AlreadyThereError) as caught:
            await ask(repository.update(oid(2), {"email": "a@example.org"}))
        assert caught.value.field == "email"
        assert await ask(repository.list({"email": Not(None)})) == [{"_id": oid(1), "email": "a@example.org"}]
        assert await ask(repository.count()) == 3

    async def test_update_sets_whole_fields(self, repository: Any) -> None:
        """At the top: a document within is replaced; new fields come last, in the order given."""
        await ask(repository.create({"_id": oid(1), **FULL}))
        changes = {"status": "done", "deferred": {"until": None}, "labels": ["z"], "steps": [], "z": 1, "b": {"$x": 2}}
        changed = await ask(repository.update(str(oid(1)), changes))
        assert repr(changed) == repr({"_id": oid(1), **FULL, **changes})
        assert repr(await ask(repository.get(oid(1)))) == repr(changed)
        assert await ask(repository.update(oid(1), {})) == changed

    @pytest.mark.parametrize("name", ["_id", "_sync", "a.b", "$set", ""])
    async def test_what_is_no_field_cannot_be_set(self, repository: Any, name: str) -> None:
        """The error names it."""
        await ask(repository.create({"_id": oid(1)}))
        with pytest.raises(RepositoryError, match="cannot be set"):
            await ask(repository.update(oid(1), {name: 1}))
        assert await ask(repository.get(oid(1))) == {"_id": oid(1)}

    async def test_delete(self, repository: Any) -> None:
        """It tells whether there was one; an id can be used again."""
        await ask(repository.create({"_id": oid(1), **FULL}))
        assert await ask(repository.delete(str(oid(1)))) is True
        assert await ask(repository.delete(oid(1))) is False
        assert await ask(repository.get(oid(1))) is None
        await ask(repository.create({"_id": oid(1), "labels": ["new"]}))
        assert await ask(repository.get(oid(1))) == {"_id": oid(1), "labels": ["new"]}

    @pytest.mark.parametrize(
        "document",
        [{"_id": "text"}, {"_id": None}, {"_sync": 1}, *({"a": value} for value in IMPOSSIBLE)],
        ids=["a text for an id", "no id", "our field", *map(ascii, range(len(IMPOSSIBLE)))],
    )
    async def test_what_is_no_document(self, repository: Any, document: Mapping[str, Any]) -> None:
        """It is refused by name."""
        with pytest.raises(RepositoryError):
            await ask(repository.create(document))
        assert await ask(repository.count()) == 0

    async def test_what_is_no_value_cannot_be_set(self, repository: Any) -> None:
        """It is refused by name, as where a document is created."""
        await ask(repository.create({"_id": oid(1)}))
        for value in IMPOSSIBLE:
            with pytest.raises(RepositoryError, match="cannot be a document"):
                await ask(repository.update(oid(1), {"a": value}))
        assert await ask(repository.get(oid(1))) == {"_id": oid(1)}

    async def test_an_id_may_be_given_as_text(self, repository: Any) -> None:
        """To ``create`` as to all others: what is stored is an ObjectId."""
        created = await ask(repository.create({"_id": str(oid(1)), "title": "x"}))
        assert created == {"_id": oid(1), "title": "x"}
        assert await ask(repository.get(oid(1))) == await ask(repository.get(str(oid(1)))) == created

    @pytest.mark.parametrize(
        "question",
        [
            {"where": {"unknown": 1}},
            {"where": {"steps": 1}},
            {"where": {"title": Not(Between(5))}},
            {"where": {"priority": Contains("1")}},
            {"where": {"labels": StartsWith("x")}},
            {"where": {"title": Contains("a" * 8001, ignore_case=True)}},
            {"where": {"extra": Between("a")}},
            {"sort": ["labels"]},
            {"sort": ["-extra"]},
            {"sort": ["unknown"]},
        ],
        ids=lambda one: str(one)[:60],
    )
    async def test_what_cannot_be_asked_of_both(self, repository: Any, question: Mapping[str, Any]) -> None:
        """No column, no order, no limit of the column's type: said by name, whichever side it is."""
        with pytest.raises(RepositoryError):
            await ask(repository.list(**question))
