"""What Django has to know of the models; their tables are there already."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]
    """Makes nothing."""

    dependencies: ClassVar = [
        ("taskboard", "0001_tables"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="PostgresLabel",
            fields=[
                ("mongo_id", models.CharField(max_length=24, primary_key=True, serialize=False)),
                ("sync_status", models.TextField()),
                ("sync_error", models.TextField(null=True)),
                ("last_sync_at", models.DateTimeField(null=True)),
                ("name", models.TextField(null=True)),
                ("color", models.TextField(null=True)),
            ],
            options={
                "db_table": "postgres_labels",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="PostgresTask",
            fields=[
                ("mongo_id", models.CharField(max_length=24, primary_key=True, serialize=False)),
                ("sync_status", models.TextField()),
                ("sync_error", models.TextField(null=True)),
                ("last_sync_at", models.DateTimeField(null=True)),
                ("title", models.TextField(null=True)),
                ("status", models.TextField(null=True)),
                ("priority", models.TextField(null=True)),
                ("due", models.DateTimeField(null=True)),
                ("deferred_until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "postgres_tasks",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="PostgresTaskLabel",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "task_id", "position", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.IntegerField()),
            ],
            options={
                "db_table": "postgres_task_labels",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="PostgresTeam",
            fields=[
                ("mongo_id", models.CharField(max_length=24, primary_key=True, serialize=False)),
                ("sync_status", models.TextField()),
                ("sync_error", models.TextField(null=True)),
                ("last_sync_at", models.DateTimeField(null=True)),
                ("name", models.TextField(null=True)),
                ("invite_code", models.TextField(null=True)),
            ],
            options={
                "db_table": "postgres_teams",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="PostgresUser",
            fields=[
                ("mongo_id", models.CharField(max_length=24, primary_key=True, serialize=False)),
                ("sync_status", models.TextField()),
                ("sync_error", models.TextField(null=True)),
                ("last_sync_at", models.DateTimeField(null=True)),
                ("google_id", models.TextField(null=True)),
                ("email_id", models.TextField(null=True)),
                ("name", models.TextField(null=True)),
                ("created_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "postgres_users",
                "managed": False,
            },
        ),
    ]
