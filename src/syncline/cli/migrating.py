"""``syncline db migrate|status|check|new|stamp``."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from syncline.cli.application import AppOption, named_databases
from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, finite, print_json, say
from syncline.model.words import counted

if TYPE_CHECKING:
    from syncline.split.databases import Databases
    from syncline.split.migrations.judging import Judged
    from syncline.split.migrations.plan import Plan
    from syncline.split.migrations.running import Outcome
    from syncline.split.migrations.status import Standing

WhichArgument = Annotated[
    str, typer.Argument(metavar="[DATABASE]", help="The name of a database, such as primary, or all.")
]
OneArgument = Annotated[str, typer.Argument(metavar="DATABASE", help="The name of a database, such as primary.")]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to wait for another runner.", callback=finite)
]
LockOption = Annotated[
    float,
    typer.Option(
        "--lock-timeout",
        min=0,
        help="Seconds to wait for a lock on a table; others queue up behind. 0: ever.",
        callback=finite,
    ),
]
MessageOption = Annotated[str, typer.Option("--message", "-m", help="What the revision is for.")]

_err = Console(stderr=True, soft_wrap=True, highlight=False)


def migrate(
    database: WhichArgument = "all",
    to: Annotated[str | None, typer.Option("--to", help="Stop at this revision of the one database.")] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be run, and what is wrong with it.")
    ] = False,
    wait: WaitOption = 60.0,
    lock_timeout: LockOption = 5.0,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Apply the revisions that each database lacks, in the order of the configuration: primary before data.

    First every revision is looked at: one that touches another database's tables is refused before anything is applied.
    Each revision is a transaction; one runner at a time works, the others wait. In single mode all trees run in the one
    database. A pooled URL needs a direct one beside it. See docs/how-to/migrate-two-databases.md.

    Exit status: 0 done, 1 a dry run found a revision that would be refused, 3 could not run.
    """
    from syncline.split.migrations.running import foresee
    from syncline.split.migrations.running import migrate as carry_out
    from syncline.split.migrations.session import Patience

    with named_databases(config, app) as databases:
        if sql or dry_run:
            plans, judged = foresee(databases, database, to=to, today=_today())
            _foreseen(databases, plans, judged, sql=sql, as_json=as_json)
            return
        invocation.get().resume = "each revision is applied as a whole or not at all; `syncline db migrate` goes on"
        done = carry_out(
            databases,
            database,
            to=to,
            patience=Patience(wait, lock_timeout),
            today=_today(),
            tell=(lambda *_: None) if as_json else _tell,
        )
        if as_json:
            print_json({"mode": databases.mode, "databases": [one.as_dict() for one in done]})
            return
    for one in done:
        _print_outcome(one)


def status(
    database: WhichArgument = "all", config: ConfigOption = None, app: AppOption = None, as_json: JsonOption = False
) -> None:
    """Show where each database stands in its tree of migrations.

    Exit status: 0 up to date, 1 revisions are pending, or something is wrong, 3 could not run.
    """
    from syncline.split.migrations.status import State, standings

    with named_databases(config, app) as databases:
        found = standings(databases, database)
        mode = databases.mode
    if as_json:
        print_json({"mode": mode, "databases": [one.as_dict() for one in found]})
    else:
        say(f"{mode} mode", "dim")
        for one in found:
            _print_standing(one)
    raise typer.Exit(0 if all(one.state is State.CURRENT for one in found) else 1)


def check(
    database: WhichArgument = "all", config: ConfigOption = None, app: AppOption = None, as_json: JsonOption = False
) -> None:
    """Look at every revision: one head in each tree, and no statement that touches another database's tables.

    Reads files only; no database is connected to. [[split.exempt]] lets one through, by the id that is printed.

    Exit status: 0 nothing (or exempt), 1 findings, 3 could not run.
    """
    from syncline.split.migrations.judging import judge
    from syncline.split.migrations.trees import trees

    with named_databases(config, app) as databases:
        chosen = [(tree, tree.revisions()) for tree in trees(databases, database)]
        for tree, _ in chosen:
            tree.head()
        judged = judge(chosen, databases.routing.ownership, databases.configured.settings, _today())
    if as_json:
        print_json(judged.as_dict())
    else:
        _print_findings(judged)
        exempt = len(judged.findings) - len(judged.obstacles)
        looked = f"looked at {counted(judged.revisions, 'revision')}"
        say(f"{counted(len(judged.obstacles), 'finding')}, {exempt} exempt; {looked}", "bold")
    raise typer.Exit(1 if judged.obstacles else 0)


def new(
    database: OneArgument,
    message: MessageOption,
    empty: Annotated[bool, typer.Option("--empty", help="Compare nothing; the statements are yours to write.")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Join several heads.")] = False,
    replaces: Annotated[
        str | None,
        typer.Option("--replaces", metavar="REVISION", help="The first one: it does what one tree before has done."),
    ] = None,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a revision: what that database's models have and the database does not.

    Only its own tables are compared: not the other side's, Syncline's or an extension's. The tree is made if there is
    none. The database must be up to date. Nothing is written if there is no difference.
    """
    from syncline.split.migrations import writing
    from syncline.split.migrations.judging import judge
    from syncline.split.migrations.trees import trees

    with named_databases(config, app) as databases:
        databases[database]
        (tree,) = trees(databases, database)
        if merge:
            path: Path | None = writing.merge(tree, message)
        else:
            path = writing.write(tree, message, empty=empty, replaces=replaces)
        last = tree.revisions()[-1:] if path else []
        judged = judge([(tree, last)], databases.routing.ownership, databases.configured.settings, _today())
    if as_json:
        print_json({"name": database, "path": str(path) if path else None, **judged.as_dict()})
        return
    say(f"{path}: look at it before you apply it" if path else f"{database}: models and database do not differ")
    _print_findings(judged)


def stamp(
    database: OneArgument,
    revision: Annotated[str, typer.Argument(help="The revision, head, or base for none.")],
    wait: WaitOption = 60.0,
    config: ConfigOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that a database is at a revision, and run nothing: for one that has it already."""
    from syncline.split.migrations.session import Patience
    from syncline.split.migrations.stamping import stamp as note
    from syncline.split.migrations.trees import trees

    with named_databases(config, app) as databases:
        databases[database]
        (tree,) = trees(databases, database)
        before, after = note(tree, revision, Patience(wait))
    if as_json:
        print_json({"name": database, "before": list(before), "after": list(after)})
        return
    say(f"{database}: {', '.join(before) or 'base'} → {', '.join(after) or 'base'} ({tree.version_table})")


def _today() -> date:
    return datetime.now(UTC).date()


def _tell(tree: Any, revision: Any, word: str) -> None:
    say(f"{tree.name}: {word} {revision.revision} {revision.doc}")


def _foreseen(databases: Databases, plans: list[Plan], judged: Judged, *, sql: bool, as_json: bool) -> None:
    from syncline.split.migrations.running import crossing, outcome
    from syncline.split.migrations.writing import as_sql

    if sql:
        if judged.crossings:
            raise crossing(judged)
        texts = {one.tree.name: as_sql(one) for one in plans}
        if as_json:
            print_json({"mode": databases.mode, "databases": [{"name": n, "sql": text} for n, text in texts.items()]})
            return
        for name, text in texts.items():
            typer.echo(f"-- {name}: {databases[name].address.place}\n{text}")
        return
    outcomes = [outcome(one) for one in plans]
    if as_json:
        print_json({"mode": databases.mode, "databases": [one.as_dict() for one in outcomes], **judged.as_dict()})
    else:
        for one in plans:
            for revision in one.pending:
                say(f"{one.tree.name}: would apply {revision.revision} {revision.doc}")
        for done in outcomes:
            _print_outcome(done)
        _print_findings(judged)
    raise typer.Exit(1 if judged.crossings else 0)


def _print_outcome(one: Outcome) -> None:
    done = counted(len(one.applied), "revision")
    noted = f", {', '.join(one.noted)} noted as done by the tree of before" if one.noted else ""
    at = ", ".join(one.after) or "no revision"
    say(
        f"{one.name}: {done}{noted}, at {at}" if one.applied or one.noted else f"{one.name}: up to date, at {at}",
        "bold",
    )


def _print_standing(one: Standing) -> None:
    from syncline.split.migrations.status import State

    style = {State.CURRENT: "green", State.PENDING: "yellow"}.get(one.state, "red")
    say(f"{one.name}: {one.state}, at {', '.join(one.current) or 'no revision'}", style)
    say(f"  {one.place}, {one.folder}, {one.version_table}", "dim")
    if one.adopts:
        say(f"  {one.adopts} is noted as done by the tree of before")
    for revision, message in one.pending:
        say(f"  {revision} {message}")
    for line in (one.message, one.hint):
        if line:
            say(f"  {line}")


def _print_findings(judged: Judged) -> None:
    from syncline.cli.split import print_tie

    for finding in judged.findings:
        print_tie(finding)
