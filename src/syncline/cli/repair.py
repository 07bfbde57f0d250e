"""``syncline repair``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, DespiteOption, JsonOption, configured, print_json, run, say
from syncline.cli.documents import verify as of_documents
from syncline.cli.documents.common import documents_from
from syncline.cli.verifying import SHOWN, chosen, print_findings, progress_bar

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.verify.repair import RepairReport
    from syncline.verify.report import VerifyReport

LATER = "A repair is not a verification: run `syncline verify` when the queue is empty."


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of it."""

    verified: VerifyReport
    report: RepairReport


def repair(
    entity: Annotated[str | None, typer.Argument(help="Only this entity.")] = None,
    report: Annotated[Path | None, typer.Option("--from", help="Only what this report of `verify` names.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be repaired.")] = False,
    despite_reverse: DespiteOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify, then mark what diverges, so that the worker writes it again.

    Nothing is overwritten blindly: a document with a ticket that nobody issued is released only while it is the one
    that was seen; a document whose _id no row can have is only reported.

    Exit status: 0 nothing diverged, or all of it is marked; 1 something is left (or, with --dry-run, to be done);
    2 part of it could not be decided; 3 could not run.
    """
    from syncline.verify.render import as_dict

    if not dry_run:
        invocation.get().resume = "what is marked stays marked; `syncline repair` looks for the rest"
    if documents := documents_from(config, despite_reverse=despite_reverse):
        done = Repaired(*run(of_documents.repair_documents(documents, entity, report, dry_run=dry_run, quiet=as_json)))
    else:
        settings = configured(config)
        done = run(_repair(settings, entity, report, dry_run=dry_run, despite=despite_reverse, quiet=as_json))
    if as_json:
        print_json({"verify": as_dict(done.verified), "repair": done.report.as_dict()})
    else:
        _print(done)
    raise typer.Exit(_status(done))


def _read(path: Path, entity: str | None) -> dict[str, list[str]]:
    from syncline.verify.spool import keys_in

    wanted: dict[str, list[str]] = defaultdict(list)
    for name, key in keys_in(path):
        if entity is None or name == entity:
            wanted[name].append(key)
    return wanted


async def _repair(
    settings: Settings, entity: str | None, path: Path | None, *, dry_run: bool, despite: str | None, quiet: bool
) -> Repaired:
    from syncline.verify.one_pass import Options
    from syncline.verify.repair import Repairer
    from syncline.verify.report import VerifyReport
    from syncline.verify.verifier import verify
    from syncline.wiring.sides import opened_sides, require_right_side_of

    wanted = None if path is None else _read(path, entity)
    with progress_bar(quiet=quiet) as on_progress:
        async with opened_sides(settings, on_progress) as (sides, plans):
            names = [entity] if entity else list(wanted or ())
            plan_list = chosen(plans, names) if names or wanted is None else []
            chosen_plans = {plan.name: plan for plan in plan_list}
            repairer = Repairer(sides, chosen_plans, dry_run=dry_run, despite=despite)
            await repairer.require_right_side()
            if despite and not dry_run:
                await require_right_side_of(settings, list(chosen_plans), "a repair", despite=despite)
            if wanted is None:
                verified = await verify(sides, plan_list, Options(taker=repairer))
            else:
                verified = VerifyReport()
                for plan in plan_list:
                    keys = wanted.get(plan.name, [])
                    if not keys:  # which would mean all
                        continue
                    # What the report says may be long past.
                    verified.entities += (await verify(sides, [plan], Options(keys=keys, taker=repairer))).entities
            await repairer.audit()
            return Repaired(verified, repairer.report)


def _print(done: Repaired) -> None:
    from syncline.verify.render import sentence

    repaired = done.report
    say(sentence(done.verified))
    print_findings(repaired.marked)
    verb = "would be marked" if repaired.dry_run else "marked"
    released = f", {repaired.released} of them released from a ticket in the way" if repaired.released else ""
    say(f"{repaired.marked_by.total()} records {verb}{released}", "bold")
    for finding, why in repaired.left[:SHOWN]:
        name = finding.key if finding.key is not None else f"_id {finding.id!r}"
        say(f"left alone: {finding.entity} {name}: {why}", "yellow")
    if (more := repaired.left_by.total() - SHOWN) > 0:
        say(f"left alone: {more:,} more; see --json", "yellow")
    if repaired.marked and not repaired.dry_run:
        say(LATER)


def _status(done: Repaired) -> int:
    if done.report.left or (done.report.dry_run and done.report.marked):
        return 1
    undecided = any(one.hot or one.lagging or one.obstacles for one in done.verified.entities)
    return 2 if undecided else 0
