"""What is concluded from what both databases say: nothing that waits for nobody is healthy."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.insight.reach import DatabaseState
from syncline.insight.status import Measures, Status, judge
from syncline.model.thresholds import Health
from syncline.web.exposition import snapshot_of

WAITING, RUNNING = {"running": False, "entity": "todo"}, {"running": True, "entity": "todo"}


def judged(
    queue: int = 0, tasks: Any = (), *, alive: bool = False, notices: Any = (), pending: Any = (), **details: Any
) -> Status:
    facts = {
        "measures": Measures(queue, 0.0, 0, 0),
        "tasks": tasks,
        "notices": notices,
        "pending": pending,
        "workers": [{"alive": alive, "report": {}}],
    }
    sides = {"postgresql": DatabaseState(True, details=details), "mongodb": DatabaseState(True)}
    return judge(sides, facts)


@pytest.mark.parametrize(
    ("queue", "tasks", "said"),
    [
        (1, [], "1 change is waiting"),
        (0, [WAITING], "1 task is waiting"),
        (0, [WAITING, RUNNING, WAITING], "2 tasks are waiting"),
        (3, [WAITING], "3 changes and 1 task are waiting"),
    ],
)
def test_what_waits_while_no_worker_lives_is_told(queue: int, tasks: Any, said: str) -> None:
    found = judged(queue, tasks)
    assert (found.health, [alert.name for alert in found.alerts]) == (Health.DEGRADED, ["NoWorker"])
    assert f"no worker is running, and {said}:" in found.alerts[0].message
    assert judged(queue, tasks, alive=True).health is Health.HEALTHY


def test_without_anything_to_do_nobody_is_missed() -> None:
    assert judged(0, [RUNNING]).health is Health.HEALTHY, "a command in the foreground does it"


@pytest.mark.parametrize(("copied", "resolved", "missed"), [("todo", False, 0), ("todo", True, 1), ("user", False, 1)])
def test_a_task_of_a_table_that_is_being_copied_waits_for_the_copy(copied: str, resolved: bool, missed: int) -> None:
    notice = {"name": "Copying", "entity": copied, "severity": "info", "resolved": resolved, "message": "it is copied"}
    found = judged(0, [WAITING, RUNNING], notices=[notice])
    assert [alert.name for alert in found.alerts].count("NoWorker") == missed
    assert snapshot_of(found).measures["tasks"] == missed, "the alert by metrics says what the status says"


def test_what_a_standby_says_is_not_believed() -> None:
    found = judged(alive=True, standby=True)
    assert (found.health, [alert.name for alert in found.alerts]) == (Health.DEGRADED, ["SyncStateUnknown"])
    assert judged(alive=True, standby=False).health is Health.HEALTHY


def test_an_entity_that_is_not_installed_to_the_end_is_told() -> None:
    found = judged(alive=True, pending=["todo", "user"])
    assert (found.health, [alert.name for alert in found.alerts]) == (Health.DEGRADED, ["EntityPending"])
    assert found.alerts[0].message.startswith("todo, user: not installed to the end")
    assert snapshot_of(found).measures["pending_entities"] == 2
