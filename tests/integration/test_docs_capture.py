"""The examples of the documentation run as they stand."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

from syncline.model.entity import Embed, TableName
from tests.integration.capture_case import Case, entity

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def run(page: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run all Python blocks of a page one after the other; ``await`` may stand anywhere."""

    async def main() -> None:
        for block in re.findall(r"^```python\n(.*?)^```", (HOW_TO / page).read_text("utf-8"), re.DOTALL | re.MULTILINE):
            code = compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            result = eval(code, names)  # noqa: S307
            if inspect.isawaitable(result):
                await result

    asyncio.run(main())
    return names


def test_sqlalchemy(database: str) -> None:
    comments = Embed("comments", TableName("public", "comment"), ("todo_id",))
    with Case(database, [entity("todo", "todo", embeds=(comments,))], capture="session") as case:
        case.sql(
            "CREATE TABLE todo (id serial PRIMARY KEY, title text NOT NULL, done boolean NOT NULL)",
            "CREATE TABLE comment (id serial PRIMARY KEY, body text NOT NULL, todo_id integer NOT NULL REFERENCES todo)",
        )
        case.install()
        names = run("sqlalchemy.md", {"DATABASE_URL": database.replace("postgresql:", "postgresql+psycopg:", 1)})
        names["engine"].dispose()
        assert names["rows"] == 3
        assert {hint for _, _, hint in case.marks()} == {"I", "U", "E"}


def test_read_your_writes(database: str) -> None:
    with Case(database, [entity("todo", "todo")]) as case:
        case.sql("CREATE TABLE todo (id integer PRIMARY KEY, title text NOT NULL)")
        case.install()
        url = database.replace("postgresql:", "postgresql+psycopg:", 1)
        names = run("read-your-writes.md", {"DATABASE_URL": url, "LIBPQ_URL": database})
        names["SessionLocal"].kw["bind"].dispose()
        assert names["answer"] == "from PostgreSQL, or stale and saying so"
