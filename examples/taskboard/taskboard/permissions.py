"""What a role may allow."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """A role is a list of these; ``ADMIN`` is all of them."""

    ADMIN = "admin"
    USERS_READ = "users.read"
    USERS_WRITE = "users.write"
    TASKS_READ = "tasks.read"
    TASKS_WRITE = "tasks.write"
    TEAMS_WRITE = "teams.write"
    LABELS_WRITE = "labels.write"
    AUDIT_READ = "audit.read"


MEMBER = (Permission.USERS_READ, Permission.TASKS_READ, Permission.TASKS_WRITE, Permission.TEAMS_WRITE)
"""What the role ``member`` of the seed allows."""
