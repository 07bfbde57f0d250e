"""The tables as Django models, for the admin, reports and the shell; they are made by ``syncline schema sql``.

The application itself asks repositories. Nothing here is written: until PostgreSQL is the truth, MongoDB is.
"""

from __future__ import annotations

from django.db import models


class Mirrored(models.Model):  # type: ignore[misc]
    """A collection's own table."""

    mongo_id = models.CharField(primary_key=True, max_length=24)
    sync_status = models.TextField()
    sync_error = models.TextField(null=True)
    last_sync_at = models.DateTimeField(null=True)

    class Meta:
        """Of no table itself."""

        abstract = True


def _refers(to: str, column: str) -> models.ForeignKey:
    """Refer to a document that may not be there."""
    return models.ForeignKey(to, models.DO_NOTHING, db_column=column, db_constraint=False, null=True, related_name="+")


class PostgresUser(Mirrored):
    """Somebody."""

    google_id = models.TextField(null=True)
    email_id = models.TextField(null=True)
    name = models.TextField(null=True)
    created_at = models.DateTimeField(null=True)

    class Meta:
        """Made by the first migration."""

        managed = False
        db_table = "postgres_users"

    def __str__(self) -> str:
        """Give the name."""
        return str(self.name or self.mongo_id)


class PostgresTeam(Mirrored):
    """A team."""

    name = models.TextField(null=True)
    invite_code = models.TextField(null=True)
    created_by = _refers("PostgresUser", "created_by")

    class Meta:
        """Made by the first migration."""

        managed = False
        db_table = "postgres_teams"

    def __str__(self) -> str:
        """Give the name."""
        return str(self.name or self.mongo_id)


class PostgresLabel(Mirrored):
    """A label."""

    name = models.TextField(null=True)
    color = models.TextField(null=True)

    class Meta:
        """Made by the first migration."""

        managed = False
        db_table = "postgres_labels"

    def __str__(self) -> str:
        """Give the name."""
        return str(self.name or self.mongo_id)


class PostgresTask(Mirrored):
    """A task."""

    title = models.TextField(null=True)
    status = models.TextField(null=True)
    priority = models.TextField(null=True)
    assignee = _refers("PostgresUser", "assignee")
    team = _refers("PostgresTeam", "team_id")
    created_by = _refers("PostgresUser", "created_by")
    due = models.DateTimeField(null=True)
    deferred_until = models.DateTimeField(null=True)

    class Meta:
        """Made by the first migration."""

        managed = False
        db_table = "postgres_tasks"

    def __str__(self) -> str:
        """Give the title."""
        return str(self.title or self.mongo_id)


class PostgresTaskLabel(models.Model):  # type: ignore[misc]
    """Which task has which label, in the order of the document."""

    pk = models.CompositePrimaryKey("task_id", "position")
    task = models.ForeignKey(PostgresTask, models.DO_NOTHING, db_column="mongo_id", related_name="labels")
    position = models.IntegerField()
    label = models.ForeignKey(
        PostgresLabel, models.DO_NOTHING, db_column="label_mongo_id", db_constraint=False, related_name="+"
    )

    class Meta:
        """Made by the first migration."""

        managed = False
        db_table = "postgres_task_labels"

    def __str__(self) -> str:
        """Give both ids."""
        return f"{self.task_id} {self.label_id}"
