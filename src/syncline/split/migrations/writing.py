"""Writing revisions, and SQL for those who apply it by hand."""

from __future__ import annotations

from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from alembic import command
from alembic.runtime.environment import EnvironmentContext
from alembic.script import Script
from sqlalchemy.exc import SQLAlchemyError

from syncline.errors import MigrationError
from syncline.split.migrations.comparing import foreign_tables, metadata_of
from syncline.split.migrations.environment import WORK, Work
from syncline.split.migrations.plan import Plan, plan
from syncline.split.migrations.session import Watch, on_sqlalchemy, opened
from syncline.split.migrations.trees import Tree, told

_TEMPLATES = {"env.py": "env.py.mako", "script.py.mako": "script.py.mako"}


def make(tree: Tree) -> list[Path]:
    """Make what a tree lacks; give the files that were made."""
    made = []
    (tree.folder / "versions").mkdir(parents=True, exist_ok=True)
    for name, template in _TEMPLATES.items():
        if not (tree.folder / name).exists():
            text = files("syncline.split.migrations").joinpath("template", template).read_text("utf-8")
            (tree.folder / name).write_text(text, "utf-8")
            made.append(tree.folder / name)
    return made


def write(tree: Tree, message: str, *, empty: bool = False, replaces: str | None = None) -> Path | None:
    """Write a revision after the head; ``None``: models and database do not differ.

    Args:
        tree: the tree, which is made if it is not there.
        message: what it is for.
        empty: leave the statements to the user; else they follow from the side's models and its database.
        replaces: the revision of the tree of before whose work this first one is.

    Raises:
        MigrationError: the database lacks revisions, no models are declared, or they cannot be compared.

    """
    make(tree)
    head = tree.head()
    if replaces is not None and head is not None:
        raise MigrationError(f"{tree.name}: only the first revision replaces the tree of before, and there is {head}")
    script = _empty(tree, message) if empty else _compared(tree, message)
    tree.forget()
    if script is None:
        return None
    path = Path(script.path)
    if replaces is not None:
        line = f"depends_on = {script.dependencies!r}\n"
        path.write_text(path.read_text("utf-8").replace(line, f"{line}replaces = {replaces!r}\n", 1), "utf-8")
    return path


def merge(tree: Tree, message: str) -> Path:
    """Write a revision that joins the heads.

    Raises:
        MigrationError: there is one head at most.

    """
    make(tree)
    if len(tree.heads) < 2:
        raise MigrationError(f"{tree.name}: there is nothing to merge: {', '.join(tree.heads) or 'no revision'}")
    with told(tree):
        script = _one(command.merge(tree.config(), "heads", message=message))
    tree.forget()
    assert script is not None  # noqa: S101  it has just been written
    return Path(script.path)


def as_sql(here: Plan) -> str:
    """Write what a database lacks as SQL, with the statements that note it; to be run as it stands."""
    tree, text = here.tree, StringIO()
    start = here.adopts or (here.current[0] if here.current else None)
    config = tree.config(**{WORK: Work(tree, None)})
    config.output_buffer = text

    def steps(heads: Any, _: Any) -> Any:
        return tree.upgrades(heads, here.pending[-1].revision)

    if here.adopts:
        raise MigrationError(f"{tree.name}: {here.adopts} is to be noted first", hint="`syncline db migrate` does it")
    if len(here.current) > 1:
        raise MigrationError(f"{tree.name}: the database is at several revisions: {', '.join(here.current)}")
    if not here.pending:
        return ""
    with told(tree), EnvironmentContext(config, tree.scripts, fn=steps, as_sql=True, starting_rev=start):
        tree.scripts.run_env()
    return text.getvalue()


def _empty(tree: Tree, message: str) -> Script | None:
    with told(tree):
        return _one(command.revision(tree.config(), message))


def _compared(tree: Tree, message: str) -> Script | None:
    if not metadata_of(tree.databases.routing.ownership, tree.name):
        raise MigrationError(
            f"{tree.name}: no models are known, so nothing can be compared with the database",
            hint=f'set models = ["module:Base"] in [databases.{tree.name}], or write it yourself with --empty',
        )
    with opened(tree) as connection:
        here = plan(tree, connection)
        if here.lacks:
            raise MigrationError(
                f"{tree.name}: the database lacks revisions, and the difference would have them, too",
                hint=f"`syncline db migrate {tree.name}` first",
            )
        foreign = foreign_tables(connection)
        with on_sqlalchemy(connection, Watch(tree.databases.routing, tree.name)) as lent:
            config = tree.config(**{WORK: Work(tree, lent, foreign)})
            try:
                with told(tree):
                    return _one(command.revision(config, message, True, process_revision_directives=_nothing_if_equal))
            except SQLAlchemyError as error:
                said = str(error).partition("\n")[0]
                raise MigrationError(f"{tree.name}: models and database cannot be compared: {said}") from error


def _nothing_if_equal(_: Any, __: Any, directives: list[Any]) -> None:
    if directives[0].upgrade_ops.is_empty():
        directives.clear()


def _one(scripts: Any) -> Script | None:
    found = scripts if not isinstance(scripts, list) else next(iter(scripts), None)
    return found if isinstance(found, Script) else None
