"""What a worker says of entities that are not served: the reason, and what to do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from syncline.errors import CommandNeededError, MappingError
from syncline.model.notice import Notice
from syncline.ports import Plans
from syncline.relay.conditions import Conditions


class Journal:
    """Keeps the messages; it is the port of the notices, and that of the entities."""

    def __init__(self) -> None:
        self.notices = self.entities = self
        self.left: dict[str, str] = {}

    async def names(self) -> dict[int, str]:
        return {7: "stranger"}

    async def leave(self, name: Notice, _: str, message: str, *, entity: str) -> None:
        assert name is Notice.ENTITY_STOPPED
        self.left[entity] = message

    async def nothing(self, *_: object, **__: object) -> None: ...

    end = end_others = settle_causes = nothing


async def test_a_command_that_is_needed_is_named_and_what_is_wrong_is_to_be_corrected() -> None:
    """The words of a reason do not matter: one that speaks of a command is not taken for advice."""
    journal: Any = Journal()
    plans = Plans(
        problems={
            "key": CommandNeededError("its key is another one", hint="run `syncline install`"),
            "table": MappingError("there is no table that `syncline init` proposed", hint="its name?"),
        }
    )
    pump: Any = SimpleNamespace(stopped_entities={7: "it is installed, but not in the configuration", 8: "uninstalled"})
    await Conditions(journal, plans, pump).look()
    correct = "put that right, then run `syncline install`"
    assert journal.left == {
        "key": "entity key is not served: its key is another one; run `syncline install`",
        "table": f"entity table is not served: there is no table that `syncline init` proposed; {correct}",
        "stranger": f"entity stranger is not served: it is installed, but not in the configuration; {correct}",
    }
