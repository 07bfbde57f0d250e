"""What belongs to a team is there for its members, and for administrators; others are told that there is nothing.

The truth says who is a member: whoever was removed sees nothing more, in a ramp too.
"""

from __future__ import annotations

from collections.abc import Sequence

from bson import ObjectId

from syncline.phases.repositories import Document, from_truth
from taskboard.permissions import Permission
from taskboard.problems import Problem, missing
from taskboard.repositories import Repositories
from taskboard.security import Caller
from taskboard.views.common import found, pair_id


def is_member(repositories: Repositories, caller: Caller, team_id: ObjectId) -> bool:
    """Tell whether somebody sees what belongs to a team."""
    with from_truth():
        return caller.may(Permission.ADMIN) or repositories.members.get(pair_id(caller.id, team_id)) is not None


def teams_of(repositories: Repositories, caller: Caller) -> list[ObjectId]:
    """Give the teams of which the caller sees what belongs to them."""
    with from_truth():
        return repositories.members.teams_of(caller.id)


def visible_task(repositories: Repositories, caller: Caller, id_: str | ObjectId) -> Document:
    """Read a task of nobody's team, or of one of the caller's.

    Raises:
        Problem: 404.

    """
    task = found(repositories.tasks, id_, "task")
    team_id = task.get("team_id")
    if team_id is not None and not is_member(repositories, caller, team_id):
        raise missing("task")
    return task


def require_visible(repositories: Repositories, caller: Caller, ids: Sequence[ObjectId]) -> None:
    """See that the tasks that a record names are there for the caller.

    Raises:
        Problem: 422.

    """
    for one in ids:
        try:
            visible_task(repositories, caller, one)
        except Problem as error:
            raise Problem(422, error.detail, id=str(one)) from None
