"""A project with two trees of migrations, in single and in split mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from typer.testing import CliRunner

from syncline.cli.main import app
from tests.engines import fresh_database
from tests.integration.split_case import variables

CONFIG = """
[databases.primary]
models = ["tests.integration.split_case:PrimaryBase"]
{primary}
[databases.data]
models = ["tests.integration.split_case:DataBase"]
{data}
{more}
"""
USERS = "op.execute('CREATE TABLE users (id serial PRIMARY KEY, name varchar NOT NULL)')"
CARRIERS = """op.execute('CREATE TABLE carriers (id serial PRIMARY KEY, name varchar NOT NULL)')
    op.execute('CREATE TABLE zones (id serial PRIMARY KEY, carrier_id int NOT NULL REFERENCES carriers)')"""
ENV = "from syncline.split.migrations import run\n\nrun()\n"
REVISION = '''"""{message}"""
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}
{more}

def upgrade():
    {upgrade}


def downgrade():
    pass
'''


@dataclass
class Project:
    """A folder with ``syncline.toml`` and trees, and the URLs."""

    home: Path
    urls: dict[str, str]
    env: dict[str, str]

    @property
    def split(self) -> bool:
        return "SPLIT_DB_MODE" in self.env

    def configure(self, *, primary: str = "", data: str = "", more: str = "") -> None:
        (self.home / "syncline.toml").write_text(CONFIG.format(primary=primary, data=data, more=more))

    def add(self, database: str, revision: str, upgrade: str, *, before: Any = None, more: str = "") -> Path:
        """Write a revision by hand."""
        folder = self.home / f"migrations-{database}"
        (folder / "versions").mkdir(parents=True, exist_ok=True)
        (folder / "env.py").write_text(ENV)
        path = folder / "versions" / f"{revision}.py"
        given = {"revision": revision, "before": before, "upgrade": upgrade, "more": more}
        path.write_text(REVISION.format(message=f"{revision} it is", **given))
        return path

    def first(self) -> None:
        """Write the first revision of both."""
        self.add("primary", "p1", USERS)
        self.add("data", "d1", CARRIERS)

    def run(self, *arguments: str, status: int = 0, **env: str) -> str:
        """Run ``syncline db …``; what it printed, without line breaks of the terminal."""
        config = ("--config", str(self.home / "syncline.toml"))
        given = {**self.env, **env}
        done = CliRunner().invoke(app, ["db", arguments[0], *config, *arguments[1:]], env=given)
        assert done.exit_code == status, done.output
        return done.output

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status))

    def ask(self, database: str, query: str) -> list[Any]:
        with psycopg.connect(self.urls[database], autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def tables(self, database: str) -> set[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return {name for (name,) in self.ask(database, query)}

    def version(self, database: str) -> list[str]:
        return [one for (one,) in self.ask(database, f"SELECT version_num FROM alembic_version_{database}")]


@contextmanager
def project(home: Path, server: str, *, split: bool) -> Iterator[Project]:
    """Make a project in one of the modes."""
    with fresh_database(server) as one, fresh_database(server) as two:
        urls = {"primary": one, "data": two if split else one}
        made = Project(home, urls, variables(one, two if split else None))
        made.configure()
        yield made
