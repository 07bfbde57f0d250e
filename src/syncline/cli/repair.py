"""``syncline repair``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from syncline.cli.common import ConfigOption, JsonOption, print_json, run, say, settings_from
from syncline.cli.verifying import chosen, opened_sides, print_findings, progress_bar
from syncline.config import Settings
from syncline.errors import SynclineError
from syncline.verify.one_pass import Options, Sides
from syncline.verify.render import as_dict, sentence
from syncline.verify.repair import RepairReport, keys_of
from syncline.verify.repair import repair as repair_findings
from syncline.verify.report import VerifyReport
from syncline.verify.verifier import verify

LATER = "A repair is not a verification: run `syncline verify` when the queue is empty."


def repair(
    entity: Annotated[str | None, typer.Argument(help="Only this entity.")] = None,
    report: Annotated[Path | None, typer.Option("--from", help="Only what this report of `verify` names.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be repaired.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify, then mark what diverges, so that the worker writes it again.

    Nothing is overwritten blindly: a document with a ticket that nobody issued is released only while it is the one
    that was seen; a document whose _id no row can have is only reported.

    Exit status: 0 nothing diverged, or all of it is marked; 1 something is left (or, with --dry-run, to be done);
    2 part of it could not be decided; 3 could not run.
    """
    wanted = _read(report) if report else None
    verified, repaired = run(_repair(settings_from(config), entity, wanted, dry_run=dry_run, quiet=as_json))
    if as_json:
        print_json({"verify": as_dict(verified), "repair": repaired.as_dict()})
    else:
        _print(verified, repaired)
    raise typer.Exit(_status(verified, repaired))


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return keys_of(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise SynclineError(f"{path} cannot be read: {error}") from error


async def _repair(
    settings: Settings, entity: str | None, wanted: dict[str, list[str]] | None, *, dry_run: bool, quiet: bool
) -> tuple[VerifyReport, RepairReport]:
    with progress_bar(quiet=quiet) as told:
        async with opened_sides(settings, told) as (sides, plans):
            names = [entity] if entity else list(wanted) if wanted is not None else []
            plan_list = chosen(plans, names) if names or wanted is None else []
            if wanted is None:
                verified = await verify(sides, plan_list)
            else:
                verified = await _look_again(sides, plan_list, wanted)
            findings = [finding for one in verified.entities for finding in one.findings]
            by_name = {plan.name: plan for plan in plan_list}
            return verified, await repair_findings(sides, by_name, findings, dry_run=dry_run)


async def _look_again(sides: Sides, plans: list[Any], wanted: dict[str, list[str]]) -> VerifyReport:
    """Take a new look at the keys of an old report: what it says may be long past."""
    whole = VerifyReport()
    for plan in plans:
        if keys := wanted.get(plan.name):
            whole.entities += (await verify(sides, [plan], Options(keys=keys))).entities
    return whole


def _print(verified: VerifyReport, repaired: RepairReport) -> None:
    say(sentence(verified))
    print_findings(repaired.marked)
    verb = "would be marked" if repaired.dry_run else "marked"
    released = f", {repaired.released} of them released from a ticket in the way" if repaired.released else ""
    say(f"{len(repaired.marked)} records {verb}{released}", "bold")
    for finding, why in repaired.left[:20]:
        name = finding.key if finding.key is not None else f"_id {finding.id!r}"
        say(f"left alone: {finding.entity} {name}: {why}", "yellow")
    if omitted := _omitted(verified):
        say(f"{omitted} more diverge: repair again after this, or mark everything with `syncline backfill`", "yellow")
    if repaired.marked and not repaired.dry_run:
        say(LATER)


def _omitted(verified: VerifyReport) -> int:
    return sum(one.counts.total() - len(one.findings) for one in verified.entities)


def _status(verified: VerifyReport, repaired: RepairReport) -> int:
    if repaired.left or _omitted(verified) or (repaired.dry_run and repaired.marked):
        return 1
    undecided = any(one.hot or one.lagging or one.obstacles for one in verified.entities)
    return 2 if undecided else 0
