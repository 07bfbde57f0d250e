"""The repositories: what the application asks of its data, whichever database answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from syncline.contrib.django import DocumentDatabases
from syncline.phases.repositories import AbstractRepository, Document, MongoRepository, OneOf, PostgresRepository


class AbstractUserRepository(AbstractRepository):
    """People."""

    collection_name = "users"

    def get_by_email(self, email: str) -> Document | None:
        """Find somebody by their email address, whatever its case."""
        found: Document | None = self.get_by("email_id", email.lower())
        return found


class UserRepository(AbstractUserRepository, MongoRepository):
    """In MongoDB."""


class PostgresUserRepository(AbstractUserRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractTokenRepository(AbstractRepository):
    """Log-ins: of each token its digest."""

    collection_name = "tokens"


class TokenRepository(AbstractTokenRepository, MongoRepository):
    """In MongoDB."""


class PostgresTokenRepository(AbstractTokenRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractTeamRepository(AbstractRepository):
    """Teams."""

    collection_name = "teams"


class TeamRepository(AbstractTeamRepository, MongoRepository):
    """In MongoDB."""


class PostgresTeamRepository(AbstractTeamRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractUserTeamDetailsRepository(AbstractRepository):
    """Who is a member of which team."""

    collection_name = "user_team_details"

    def teams_of(self, user_id: ObjectId) -> list[ObjectId]:
        """Give the teams of somebody."""
        return [one["team_id"] for one in self.list({"user_id": user_id})]

    def members_of(self, team_id: ObjectId) -> list[ObjectId]:
        """Give the members of a team, in the order in which they came."""
        return [one["user_id"] for one in self.list({"team_id": team_id}, sort=["joined_at"])]


class UserTeamDetailsRepository(AbstractUserTeamDetailsRepository, MongoRepository):
    """In MongoDB."""


class PostgresUserTeamDetailsRepository(AbstractUserTeamDetailsRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractLabelRepository(AbstractRepository):
    """Labels of tasks."""

    collection_name = "labels"


class LabelRepository(AbstractLabelRepository, MongoRepository):
    """In MongoDB."""


class PostgresLabelRepository(AbstractLabelRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractRoleRepository(AbstractRepository):
    """Roles, each a list of permissions."""

    collection_name = "roles"

    def permissions(self, ids: list[ObjectId]) -> frozenset[str]:
        """Give what these roles allow together."""
        return frozenset(one for role in self.list({"_id": OneOf(*ids)}) for one in role["permissions"])


class RoleRepository(AbstractRoleRepository, MongoRepository):
    """In MongoDB."""


class PostgresRoleRepository(AbstractRoleRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractUserRoleRepository(AbstractRepository):
    """Who has which role."""

    collection_name = "user_roles"

    def roles_of(self, user_id: ObjectId) -> list[ObjectId]:
        """Give the roles of somebody."""
        return [one["role_id"] for one in self.list({"user_id": user_id})]


class UserRoleRepository(AbstractUserRoleRepository, MongoRepository):
    """In MongoDB."""


class PostgresUserRoleRepository(AbstractUserRoleRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractTaskRepository(AbstractRepository):
    """Tasks."""

    collection_name = "tasks"


class TaskRepository(AbstractTaskRepository, MongoRepository):
    """In MongoDB."""


class PostgresTaskRepository(AbstractTaskRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractTaskAssignmentRepository(AbstractRepository):
    """Who was given which task, by whom and when."""

    collection_name = "task_assignments"


class TaskAssignmentRepository(AbstractTaskAssignmentRepository, MongoRepository):
    """In MongoDB."""


class PostgresTaskAssignmentRepository(AbstractTaskAssignmentRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractWatchlistRepository(AbstractRepository):
    """Tasks that somebody keeps an eye on, by name."""

    collection_name = "watchlists"


class WatchlistRepository(AbstractWatchlistRepository, MongoRepository):
    """In MongoDB."""


class PostgresWatchlistRepository(AbstractWatchlistRepository, PostgresRepository):
    """In PostgreSQL."""


class AbstractAuditLogRepository(AbstractRepository):
    """Who did what."""

    collection_name = "audit_logs"


class AuditLogRepository(AbstractAuditLogRepository, MongoRepository):
    """In MongoDB."""


class PostgresAuditLogRepository(AbstractAuditLogRepository, PostgresRepository):
    """In PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Repositories:
    """One of each; the phase of a collection says for each call which database answers."""

    users: AbstractUserRepository
    tokens: AbstractTokenRepository
    teams: AbstractTeamRepository
    members: AbstractUserTeamDetailsRepository
    labels: AbstractLabelRepository
    roles: AbstractRoleRepository
    user_roles: AbstractUserRoleRepository
    tasks: AbstractTaskRepository
    assignments: AbstractTaskAssignmentRepository
    watchlists: AbstractWatchlistRepository
    audit: AbstractAuditLogRepository


def repositories(databases: DocumentDatabases) -> Repositories:
    """Make the repositories."""
    pairs: dict[str, tuple[Any, Any]] = {
        "users": (UserRepository, PostgresUserRepository),
        "tokens": (TokenRepository, PostgresTokenRepository),
        "teams": (TeamRepository, PostgresTeamRepository),
        "members": (UserTeamDetailsRepository, PostgresUserTeamDetailsRepository),
        "labels": (LabelRepository, PostgresLabelRepository),
        "roles": (RoleRepository, PostgresRoleRepository),
        "user_roles": (UserRoleRepository, PostgresUserRoleRepository),
        "tasks": (TaskRepository, PostgresTaskRepository),
        "assignments": (TaskAssignmentRepository, PostgresTaskAssignmentRepository),
        "watchlists": (WatchlistRepository, PostgresWatchlistRepository),
        "audit": (AuditLogRepository, PostgresAuditLogRepository),
    }
    return Repositories(**{name: databases.repository(*pair) for name, pair in pairs.items()})
