"""A process of the application: threads that write documents in every way that there is, and read what they wrote.

What it asks for and what it is told goes into a file, a line each, by the clock that all processes of the machine share:
a process that is killed in the middle of something has said what it was about to do.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from syncline.config.documents import load_documents
from syncline.contrib.django import DocumentDatabases
from syncline.errors import (
    AlreadyThereError,
    GateClosedError,
    MovedError,
    PhaseError,
    RefusedDocumentError,
    SynclineError,
)
from syncline.phases import JournalPhases, Phase
from syncline.phases.document_standings import DocumentStandings
from syncline.phases.dual_write import EnhancedDualWriteService
from syncline.phases.repositories import AbstractRepository, DualWrites, MongoRepository, PostgresRepository, from_truth
from syncline.phases.shadow import BlockingShadowReads, Rules
from syncline.split.switching.refusals import refusal_of
from tests.chaos.migrate.cards import NAME, OWN, own, shared
from tests.chaos.migrate.commands import set_up
from tests.chaos.migrate.ledger import ABSENT, DONE, LIFE, REFUSED, THERE, UNKNOWN
from tests.chaos.points import Trap

BREATH_SECONDS = 0.05
Told = list[str]
"""What came of it, by key."""


class Cards(AbstractRepository):
    collection_name = NAME


class MongoCards(Cards, MongoRepository):
    """The documents."""


class PostgresCards(Cards, PostgresRepository):
    """Their rows."""


class Application:
    """What all threads of a process share.

    Args:
        config: the file.
        life: how many processes were there before.
        trap: where it may be told to stop or die.
        log: what it writes down.
        hold: as long as this file is there, nothing new is begun.
        lease: seconds of a phase.
        pause: seconds between two writes of a thread, on average.

    """

    def __init__(self, config: Path, life: int, trap: Trap, log: Path, hold: Path, lease: float, pause: float) -> None:
        documents = load_documents(config)
        urls = {side: documents.url(side) for side in ("source", "target")}
        rules, standings = Rules(at_once=4, looks=(0.2, 1.0)), DocumentStandings(documents)
        shadow = BlockingShadowReads(rules, standings=standings)
        self.phases = JournalPhases(*urls.values(), lease=timedelta(seconds=lease), report=shadow.report)
        self.service = EnhancedDualWriteService(documents, phases=self.phases)
        writer = DualWrites(self.service)
        self.databases = DocumentDatabases(documents, urls["target"], phases=self.phases, shadow=shadow, writer=writer)
        self.life, self.trap, self.hold, self.pause = life, trap, hold, pause
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(self, *words: object) -> None:
        os.write(self._log, (json.dumps(words) + "\n").encode())

    def run(self, slots: Sequence[int]) -> None:
        """Write and read until it is killed."""
        while True:
            try:
                self.phases.start()
                break
            except SynclineError:
                time.sleep(BREATH_SECONDS)
        threads = [threading.Thread(target=Writer(self, slot).go_on, daemon=True) for slot in slots]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class Writer:
    """One thread."""

    def __init__(self, application: Application, slot: int) -> None:
        self._application, self._slot = application, slot
        self._service = application.service
        self._dice = random.Random(f"{slot} {application.life}")
        self._numbers = itertools.count(application.life * LIFE + 1)
        self._bare = application.databases.collection(NAME)
        self._repository = application.databases.repository(MongoCards, PostgresCards)
        self._w, self._h = f"w{slot}", f"h{slot}"

    def go_on(self) -> None:
        """Do one thing after the other."""
        while True:
            time.sleep(self._dice.uniform(0, 2 * self._application.pause))
            if self._application.hold.exists():
                time.sleep(BREATH_SECONDS)
                continue
            try:
                if self._dice.random() < 0.25:
                    self._look()
                else:
                    self._write()
            except PhaseError:
                self._application.tell("unknown phase", self._slot)
            except Exception as error:  # noqa: BLE001  whatever nobody has announced is a fault
                self._application.tell("!", self._slot, f"{type(error).__name__}: {error}")

    def _phase(self) -> tuple[float, float, str]:
        began = time.monotonic()
        phase = self._application.phases.of(NAME)
        return began, time.monotonic(), str(phase)

    # -- reads

    def _look(self) -> None:
        key, how = self._dice.choice(own(self._slot)), self._dice.choice(("truth", "any", "any"))
        asked = self._phase()
        try:
            if how == "truth":
                with from_truth():
                    found = self._repository.get(key)
            else:
                found = self._repository.get(key)
        except (SynclineError, PyMongoError):
            return
        in_ramp = Phase.RAMP in (asked[2], self._phase()[2])
        value = found and found[self._w]
        self._application.tell("read", self._slot, self._application.life, *asked, key, value, how, in_ramp)

    # -- writes

    def _write(self) -> None:
        kinds, weights = zip(*_KINDS, strict=True)
        do, keys_of, what = self._dice.choices(kinds, weights)[0]
        keys: list[str] = keys_of(self)
        number = next(self._numbers)
        asked = self._phase()
        self._application.tell("begin", self._slot, number, what, keys, *asked)
        told = self._told(lambda: do(self, keys, number), len(keys))
        self._application.trap.pass_by("request.done")
        ended = time.monotonic()
        try:
            phase = self._phase()[2]
        except PhaseError:
            phase = ""  # nobody knows; what was written, was
        self._application.tell("end", self._slot, ended, told, phase)

    def _told(self, ask: Callable[[], Told], count: int) -> Told:
        try:
            return ask()
        except (PhaseError, RefusedDocumentError, GateClosedError, MovedError):
            return [REFUSED] * count
        except (AlreadyThereError, DuplicateKeyError) as error:
            of_the_key = "_id" in str(getattr(error, "details", None) or error)
            return [THERE if of_the_key else REFUSED] * count
        except (SynclineError, PyMongoError) as error:
            return [REFUSED if refusal_of(error) else UNKNOWN] * count

    # which keys

    def shared(self) -> list[str]:
        return [self._dice.choice(shared())]

    def some(self) -> list[str]:
        return self._dice.sample(shared(), self._dice.choice((2, 5)))

    def mine(self) -> list[str]:
        return [self._dice.choice(own(self._slot))]

    def two(self) -> list[str]:
        return self._dice.sample(own(self._slot), 2)

    def mixed(self) -> list[str]:
        return [*self._dice.sample(own(self._slot), 3), *self._dice.sample(shared(), 3)]

    # what is written

    def _fields(self, number: int) -> dict[str, Any]:
        dice = self._dice
        fields: dict[str, Any] = {
            "labels": [f"{self._slot}-{number}", *dice.sample("abcdef", dice.randrange(4))],
            "steps": [
                {"n": number + place, "who": [f"p{number}", "q"][: dice.randrange(3)]}
                for place in range(1, dice.randrange(1, 4))
            ],
            "more": {"at": number, "deep": {"er": [number, "x"]}},
            "note": f"of {number}",
        }
        chosen = {name: fields[name] for name in dice.sample(sorted(fields), dice.randrange(1, 4))}
        return {name: one for name, one in chosen.items() if one != []} | {self._w: number}

    def _one_of(self, done: Any) -> Told:
        return [DONE if done else ABSENT]

    # through the service, and the repository that writes by it

    def service_update(self, keys: list[str], number: int) -> Told:
        return self._one_of(self._service.update_document(NAME, keys[0], self._fields(number)))

    def service_create(self, keys: list[str], number: int) -> Told:
        return [DONE if self._service.create_document(NAME, self._fields(number), keys[0]) else THERE]

    def service_delete(self, keys: list[str], _: int) -> Told:
        return self._one_of(self._service.delete_document(NAME, keys[0]))

    def batch(self, keys: list[str], number: int) -> Told:
        told = self._service.batch_operations(
            [
                {"collection_name": NAME, "mongo_id": key, "data": self._fields(number), "operation": "update"}
                for key in keys
            ]
        )
        return [DONE if one else UNKNOWN if one.error else ABSENT for one in told.results]

    def repository_create(self, keys: list[str], number: int) -> Told:
        self._repository.create({"_id": keys[0], **self._fields(number)})
        return [DONE]

    def repository_update(self, keys: list[str], number: int) -> Told:
        return self._one_of(self._repository.update(keys[0], self._fields(number)))

    def repository_delete(self, keys: list[str], _: int) -> Told:
        return self._one_of(self._repository.delete(keys[0]))

    # past the service, by the wrapped collection

    def operators(self, keys: list[str], number: int) -> Told:
        update = {"$set": self._fields(number), "$inc": {self._h: 1}}
        return self._one_of(self._bare.update_one({"_id": keys[0]}, update).matched_count)

    def pipeline(self, keys: list[str], number: int) -> Told:
        update = [{"$set": {self._w: number, "note": {"$concat": ["by a pipeline ", {"$toString": f"${self._w}"}]}}}]
        return self._one_of(self._bare.update_one({"_id": keys[0]}, update).matched_count)

    def elements(self, keys: list[str], number: int) -> Told:
        update = {"$set": {self._w: number, "steps.$[one].n": number}, "$push": {"labels": f"pushed {number}"}}
        found = self._bare.find_one_and_update({"_id": keys[0]}, update, array_filters=[{"one.n": {"$gt": 0}}])
        return self._one_of(found)

    def many(self, keys: list[str], number: int) -> Told:
        update = {"$set": {self._w: number, "note": "of many"}}
        matched = self._bare.update_many({"_id": {"$in": keys}}, update).matched_count
        return [DONE if matched == len(keys) else ABSENT] * len(keys)

    def bulk(self, keys: list[str], number: int) -> Told:
        update = {"$set": {self._w: number}, "$inc": {self._h: 1}}
        matched = self._bare.bulk_write([UpdateOne({"_id": key}, update) for key in keys]).matched_count
        return [DONE if matched == len(keys) else ABSENT] * len(keys)

    def insert(self, keys: list[str], number: int) -> Told:
        self._bare.insert_one({"_id": keys[0], **self._fields(number)})
        return [DONE]

    def replace(self, keys: list[str], number: int) -> Told:
        return self._one_of(self._bare.replace_one({"_id": keys[0]}, self._fields(number)).matched_count)

    def upsert(self, keys: list[str], number: int) -> Told:
        self._bare.update_one({"_id": keys[0]}, {"$set": self._fields(number)}, upsert=True)
        return [DONE]

    def delete(self, keys: list[str], _: int) -> Told:
        return self._one_of(self._bare.delete_one({"_id": keys[0]}).deleted_count)

    def find_and_delete(self, keys: list[str], _: int) -> Told:
        return self._one_of(self._bare.find_one_and_delete({"_id": keys[0]}))

    def take_code(self, keys: list[str], number: int) -> Told:
        """Hand a unique value from one document to another."""
        code = f"code {self._slot} {self._dice.randrange(OWN // 2)}"
        given = {"$set": {self._w: number}, "$unset": {"code": ""}}
        self._bare.update_many({"_id": {"$in": own(self._slot)}, "code": code}, {"$unset": {"code": ""}})
        freed = self._bare.update_one({"_id": keys[0]}, given).matched_count
        try:
            taken = self._bare.update_one({"_id": keys[1]}, {"$set": {self._w: number, "code": code}}).matched_count
        except DuplicateKeyError:
            return [DONE if freed else ABSENT, REFUSED]
        return [DONE if one else ABSENT for one in (freed, taken)]


def _what(effect: str, *, by_service: bool = False, counts: int = 0) -> dict[str, Any]:
    return {"effect": effect, "by_service": by_service, "counts": counts}


_BY_SERVICE = _what("put", by_service=True)
_PAST_IT = _what("put")
_COUNTED = _what("put", counts=1)
_KINDS: list[tuple[tuple[Callable[[Writer, list[str], int], Told], Callable[[Writer], list[str]], dict[str, Any]], float]] = [
    ((Writer.service_update, Writer.shared, _BY_SERVICE), 10),
    ((Writer.service_update, Writer.mine, _BY_SERVICE), 8),
    ((Writer.service_create, Writer.mine, _BY_SERVICE), 8),
    ((Writer.service_delete, Writer.mine, _what("gone", by_service=True)), 5),
    ((Writer.batch, Writer.mixed, _BY_SERVICE), 5),
    ((Writer.repository_create, Writer.mine, _BY_SERVICE), 4),
    ((Writer.repository_update, Writer.shared, _BY_SERVICE), 4),
    ((Writer.repository_delete, Writer.mine, _what("gone", by_service=True)), 2),
    ((Writer.operators, Writer.shared, _COUNTED), 10),
    ((Writer.pipeline, Writer.shared, _PAST_IT), 4),
    ((Writer.elements, Writer.shared, _PAST_IT), 4),
    ((Writer.many, Writer.some, _PAST_IT), 3),
    ((Writer.bulk, Writer.some, _COUNTED), 3),
    ((Writer.insert, Writer.mine, _PAST_IT), 4),
    ((Writer.replace, Writer.mine, _PAST_IT), 3),
    ((Writer.upsert, Writer.mine, _PAST_IT), 3),
    ((Writer.delete, Writer.mine, _what("gone")), 3),
    ((Writer.find_and_delete, Writer.mine, _what("gone")), 2),
    ((Writer.take_code, Writer.two, _PAST_IT), 4),
]  # fmt: skip


def main() -> None:
    """Be the process: FILE of the trap, configuration, log, hold, life, lease, pause, writers."""
    file, config, log, hold, life, lease, pause, *slots = sys.argv[1:]
    trap = Trap(Path(file))
    set_up(trap)
    made = Application(Path(config), int(life), trap, Path(log), Path(hold), float(lease), float(pause))
    made.run([*map(int, slots)])
