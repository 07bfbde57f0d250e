"""Somebody with a shell on the target: does damage, and keeps a book of what verification has to find."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import json_util
from bson.int64 import Int64
from bson.objectid import ObjectId

from tests.damage.harm import EDITS, FORGED, HARMLESS, SIMPLE, forge
from tests.damage.stage import Stage
from tests.damage.writers import Key


@dataclass(frozen=True)
class Harm:
    """What has to be found at one key."""

    kind: str
    fields: frozenset[str] | None = None
    """The paths that differ; ``None``: not looked at."""
    blocked: bool = False
    """Neither a write nor a delete of the relay gets past the fence."""
    note: str = ""


def foreign_key(entity: str, id_: Any) -> Key:
    """Name a document whose ``_id`` no row can have."""
    return entity, "_id " + json.dumps(json.loads(json_util.dumps({"": id_}))[""], sort_keys=True)


class Vandal:
    """Does the damage of one round. ``book`` has all that must be found, ``hot`` the keys that writers may mend."""

    def __init__(self, stage: Stage, hot: int, *, seed: str) -> None:
        self._stage = stage
        self._hot = hot
        self._dice = random.Random(seed)
        self.book: dict[Key, Harm] = {}
        self.hot: set[Key] = set()
        self.harmless: set[Key] = set()
        self.foreign: list[tuple[str, Any]] = []
        self._fresh = self._cold_numbers()

    def rampage(self, count: int) -> None:
        """Do about ``count`` acts of damage, and some that are none."""
        acts = [
            (self._edit, 10), (self._forge, 3), (self._forge_and_edit, 1), (self._delete, 3), (self._swap, 2), (self._copy, 1),
            (self._swap_codes, 1), (self._insert, 3), (self._steal_code, 1), (self._rekey, 1), (self._insert_foreign, 2),
            (self._as_double, 0.5), (self._edit_hot, 3), (self._delete_hot, 1), (self._forge_hot, 2), (self._nothing, 3),
        ]  # fmt: skip
        for act in self._dice.choices([act for act, _ in acts], [weight for _, weight in acts], k=count):
            act()

    def clean_up(self) -> None:
        """Take away what no repair touches."""
        for entity, id_ in self.foreign:
            same = {"$expr": {"$eq": [{"$type": "$_id"}, {"$type": {"$literal": id_}}]}}  # 5 and 5.0 are one `_id`
            self._stage.docs[entity].delete_one({"_id": {"$eq": id_}, **same})

    # -- keys

    def _cold_numbers(self) -> Iterator[int]:
        yield from self._dice.sample(range(self._hot + 1, self._stage.visits + 1), k=self._stage.visits - self._hot)

    def _cold(self, entity: str | None = None) -> tuple[str, int]:
        entity = entity or self._dice.choice(("item", "item", "item", "visit"))
        number = next(self._fresh)
        return entity, number + self._dice.randrange(3) * self._stage.visits if entity == "item" else number

    @staticmethod
    def _key(entity: str, number: int) -> Key:
        return entity, str(number) if entity == "item" else json.dumps([str(number // 10), f"d{number % 10}"])

    @staticmethod
    def _id(entity: str, number: int) -> Any:
        return number if entity == "item" else {"site": number // 10, "day": f"d{number % 10}"}

    def _read(self, entity: str, number: int) -> dict[str, Any] | None:
        return self._stage.docs[entity].find_one({"_id": {"$eq": self._id(entity, number)}})

    def _document(self, entity: str, number: int) -> dict[str, Any]:
        document = self._read(entity, number)
        assert document is not None, f"{entity} {number} is cold, and not there"
        return document

    def _replace(self, entity: str, document: dict[str, Any]) -> None:
        result = self._stage.docs[entity].replace_one({"_id": {"$eq": document["_id"]}}, document)
        assert result.matched_count == 1

    # -- damage to what nobody writes

    def _edit(self) -> None:
        entity, number = self._cold()
        document = self._document(entity, number)
        fields = self._dice.choice(EDITS[entity])(document, self._dice)
        self._replace(entity, document)
        self.book[self._key(entity, number)] = Harm("different", frozenset(fields.split()))

    def _forge(self, *, edit: bool = False) -> None:
        entity, number = self._cold()
        document = self._document(entity, number)
        ticket, blocked = self._dice.choice(FORGED)
        fields = self._dice.choice(EDITS[entity])(document, self._dice) if edit else ""
        forge(document, ticket)
        self._replace(entity, document)
        self.book[self._key(entity, number)] = Harm("unissued", frozenset(fields.split()), blocked, repr(ticket))

    def _forge_and_edit(self) -> None:
        self._forge(edit=True)

    def _delete(self) -> None:
        entity, number = self._cold()
        self._remove(entity, number)

    def _remove(self, entity: str, number: int) -> None:
        assert self._stage.docs[entity].delete_one({"_id": {"$eq": self._id(entity, number)}}).deleted_count == 1
        self.book[self._key(entity, number)] = Harm("missing")

    def _swap(self) -> None:
        (entity, one), (_, other) = (first := self._cold()), self._cold(first[0])
        a, b = self._document(entity, one), self._document(entity, other)
        keep = ("_id",) if self._dice.random() < 0.5 else ("_id", "_originalId", "_v")
        for name in [name for name in a if name in b]:  # a harmless edit may have taken `_syncedAt` away
            if name not in keep:
                a[name], b[name] = b[name], a[name]
        self._exchange(entity, a, b)
        for number in (one, other):
            self.book[self._key(entity, number)] = Harm("different")

    def _exchange(self, entity: str, a: dict[str, Any], b: dict[str, Any]) -> None:
        if "code" in a:  # a unique index lets nobody exchange values in place
            self._replace(entity, a | {"code": f"aside {a['_id']}"})
        self._replace(entity, b)
        self._replace(entity, a)

    def _swap_codes(self) -> None:
        one, other = self._cold("item")[1], self._cold("item")[1]
        a, b = self._document("item", one), self._document("item", other)
        a["code"], b["code"] = b["code"], a["code"]
        self._exchange("item", a, b)
        for number in (one, other):
            self.book[self._key("item", number)] = Harm("different", frozenset({"code"}))

    def _copy(self) -> None:
        (entity, one), (_, other) = (first := self._cold()), self._cold(first[0])
        changed = self._document(entity, other) | {"_id": self._id(entity, one)}
        if entity == "item":
            changed["code"] += " copied"
        self._replace(entity, changed)
        self.book[self._key(entity, one)] = Harm("different")

    # -- documents that have no row

    def _nobody(self, entity: str) -> tuple[Any, Key]:
        number = self._dice.choice((1, 10, 1000)) * 10**7 + self._dice.randrange(10**6)
        if entity == "item" and self._dice.random() < 0.5:
            number = -number if self._dice.random() < 0.5 else 2**63 - number
        return self._id(entity, number), self._key(entity, number)

    def _extra(self, entity: str, document: dict[str, Any]) -> None:
        document["_id"], key = self._nobody(entity)
        ticket, blocked = self._dice.choice(FORGED) if self._dice.random() < 0.5 else (document["_v"], False)
        forge(document, ticket)
        self._stage.docs[entity].insert_one(document)
        self.book[key] = Harm("extra", blocked=blocked, note=repr(ticket))

    def _insert(self) -> None:
        entity, number = self._cold()
        document = self._document(entity, number)
        if entity == "item":
            document["code"] = f"nobody {ObjectId()}"
        self._extra(entity, document)

    def _steal_code(self) -> None:
        """Delete a document, and give its unique value to one that has no row."""
        _, number = self._cold("item")
        document = self._document("item", number)
        self._remove("item", number)
        self._extra("item", document)

    def _rekey(self) -> None:
        entity, number = self._cold()
        document = self._document(entity, number)
        self._remove(entity, number)
        document["_id"], key = self._nobody(entity)
        self._stage.docs[entity].insert_one(document)
        self.book[key] = Harm("extra")

    def _insert_foreign(self) -> None:
        entity, number = self._cold()
        document = self._document(entity, number)
        day = f"d{number % 10}"
        item = [
            "text",
            str(number),
            ObjectId(),
            True,
            datetime(2020, 1, 1, tzinfo=UTC),
            {"a": 1},
            5.5,
            1e300,
            b"",
            number + 0.5,
        ]
        visit = [5, {"day": day, "site": number}, {"site": str(number), "day": day}, {"site": 2**40, "day": day},
                 {"site": number, "day": day, "more": 1}, {"site": number}, None]  # fmt: skip
        document["_id"] = self._dice.choice(item if entity == "item" else visit)
        if foreign_key(entity, document["_id"]) in self.book:
            return
        if entity == "item":
            document["code"] = f"foreign {ObjectId()}"
        self._stage.docs[entity].insert_one(document)
        self._foreign(entity, document["_id"])

    def _foreign(self, entity: str, id_: Any) -> None:
        self.foreign.append((entity, id_))
        self.book[foreign_key(entity, id_)] = Harm("foreign")

    def _as_double(self) -> None:
        """Put a document under the double of its key: the same ``_id`` for MongoDB, another one for everybody else."""
        _, number = self._cold("item")
        document = self._document("item", number)
        self._remove("item", number)
        document["_id"] = float(number)
        self._stage.docs["item"].insert_one(document)
        self._foreign("item", document["_id"])

    # -- damage to what writers may be writing

    def _hot_document(self) -> tuple[str, Key, dict[str, Any]] | None:
        entity = self._dice.choice(("item", "visit"))
        number = self._dice.randrange(self._hot) + 1
        key = self._key(entity, number)
        document = self._read(entity, number)
        return None if document is None or key in self.book else (entity, key, document)

    def _edit_hot(self) -> None:
        if found := self._hot_document():
            entity, key, document = found
            edit = self._dice.choice(SIMPLE if entity == "item" else EDITS["visit"][:3])
            fields = edit(document, self._dice)
            self._stage.docs[entity].replace_one({"_id": document["_id"]}, document)
            self._note_hot(key, Harm("different", frozenset(fields.split())))

    def _delete_hot(self) -> None:
        if found := self._hot_document():
            self._stage.docs[found[0]].delete_one({"_id": found[2]["_id"]})
            self._note_hot(found[1], Harm("missing"))

    def _forge_hot(self) -> None:
        if found := self._hot_document():
            entity, key, document = found
            ticket, blocked = self._dice.choice(FORGED)
            forge(document, ticket)
            replaced = self._stage.docs[entity].replace_one({"_id": document["_id"]}, document).matched_count
            self._note_hot(key, Harm("unissued", blocked=blocked and bool(replaced), note=repr(ticket)))

    def _note_hot(self, key: Key, harm: Harm) -> None:
        self.hot.add(key)
        self.book[key] = harm

    # -- no damage

    def _nothing(self) -> None:
        entity, number = self._cold()
        document = self._document(entity, number)
        before = copy.deepcopy(document)
        for act in self._dice.sample(HARMLESS, self._dice.choice((1, 1, 2))):
            if isinstance(document.get("_v"), Int64):
                act(document)
        if list(before.items()) != list(document.items()) or math.isnan(document.get("ratio", 0)):
            self._replace(entity, document)
        self.harmless.add(self._key(entity, number))
