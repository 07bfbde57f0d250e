"""First data: ``manage.py seed --admin ann@example.org [--sample]``; running it again changes nothing that is there.

The password is read from ``TASKBOARD_ADMIN_PASSWORD``.
"""

from __future__ import annotations

import os
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError

from syncline.errors import AlreadyThereError, SynclineError
from syncline.phases.repositories import AbstractRepository
from taskboard.permissions import MEMBER, Permission
from taskboard.repositories import Repositories
from taskboard.security import now
from taskboard.services import served
from taskboard.views.users import give_role

PASSWORD = "TASKBOARD_ADMIN_PASSWORD"  # noqa: S105  a variable's name
LABELS = {"bug": "#d73a4a", "chore": "#cfd3d7", "idea": "#a2eeef"}


class Command(BaseCommand):  # type: ignore[misc]
    """Makes the indexes of MongoDB, the roles and an administrator."""

    help = "Make the roles and an administrator."

    def add_arguments(self, parser: Any) -> None:
        """Declare the options."""
        parser.add_argument("--admin", required=True, metavar="EMAIL")
        parser.add_argument("--sample", action="store_true", help="labels and a few tasks, to try it out")

    def handle(self, *_: Any, admin: str, sample: bool, **__: Any) -> None:
        """Fill what is empty."""
        password = os.environ.get(PASSWORD, "")
        if len(password) < 10:
            raise CommandError(f"set {PASSWORD} to at least 10 characters")
        try:
            settings.SYNCLINE_DOCUMENTS.prepare()
            seed(served().repositories, admin, password, sample=sample)
        except SynclineError as error:
            raise CommandError(str(error)) from None


def seed(repositories: Repositories, email: str, password: str, *, sample: bool = False) -> None:
    """Make the roles and the first administrator, and what there is to try out."""
    role = _once(repositories.roles, "name", {"name": "administrator", "permissions": [Permission.ADMIN.value]})
    _once(repositories.roles, "name", {"name": "member", "permissions": [one.value for one in MEMBER]})
    person = {"email_id": email.lower(), "name": "Administrator", "active": True, "created_at": now()}
    user = _once(repositories.users, "email_id", {**person, "password_hash": make_password(password)})
    give_role(repositories, user, role)
    if sample:
        _sample(repositories, user)


def _sample(repositories: Repositories, user: ObjectId) -> None:
    labels = [_once(repositories.labels, "name", {"name": name, "color": color}) for name, color in LABELS.items()]
    if repositories.tasks.exists():
        return
    for number, label in enumerate(labels):
        task = {"title": f"Try it out {number + 1}", "description": "", "status": "TODO", "priority": "MEDIUM"}
        who = {"assignee": user, "team_id": None, "labels": [label], "due": None, "created_by": user}
        repositories.tasks.create({**task, **who, "created_at": now(), "updated_at": now()})


def _once(repository: AbstractRepository, path: str, document: dict[str, Any]) -> ObjectId:
    try:
        found = repository.create(document)
    except AlreadyThereError:
        found = repository.get_by(path, document[path])
    id_: ObjectId = found["_id"]
    return id_
