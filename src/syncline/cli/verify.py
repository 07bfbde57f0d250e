"""``syncline verify``."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from syncline.cli.common import ConfigOption, JsonOption, out, print_json, print_table, run, say, settings_from
from syncline.cli.verifying import SHOWN, chosen, opened_sides, print_findings, progress_bar
from syncline.config import Settings
from syncline.errors import SynclineError
from syncline.verify.one_pass import Options
from syncline.verify.render import as_dict, sentence
from syncline.verify.report import EntityReport, Mode, Verdict, VerifyReport
from syncline.verify.verifier import verify as verify_entities

STYLES = {Verdict.EQUAL: "bold green", Verdict.DIVERGENT: "bold red", Verdict.UNDECIDED: "bold yellow"}


def verify(
    entity: Annotated[str | None, typer.Argument(help="Only this entity.")] = None,
    key: Annotated[str | None, typer.Argument(help='Only this record: 5, "1,x" or ["1", "x"].')] = None,
    keys_only: Annotated[bool, typer.Option("--keys-only", help="Compare keys, not contents: cheap.")] = False,
    sample: Annotated[int | None, typer.Option(help="Compare so many records, chosen at random.", min=1)] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait for what may be only lag.", min=0)] = 60,
    report: Annotated[
        Path | None, typer.Option(help="Write the report (JSON) to this file, for `repair --from`.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare both databases, record by record, while they are in use.

    A difference counts when it stays after a second look with no change on its way.

    Exit status: 0 proved equal by a full pass; 1 divergent, or records are parked; 2 undecided (lag, keys that change
    all the time, no worker), or no difference in a part (a sample, keys only); 3 could not run.
    """
    if keys_only and (sample or key):
        raise SynclineError("--keys-only goes with neither a sample nor a key", hint="leave one of them out")
    mode = Mode.KEYS if keys_only else Mode.SAMPLE if sample or key else Mode.FULL
    options = Options(mode, sample or 1000, patience=timedelta(seconds=patience))
    found = run(_verify(settings_from(config), entity, key, options, quiet=as_json))
    if report is not None:
        report.write_text(json.dumps(as_dict(found), indent=2, ensure_ascii=False) + "\n", "utf-8")
    print_json(as_dict(found)) if as_json else _print(found)
    raise typer.Exit(found.exit_status)


async def _verify(
    settings: Settings, entity: str | None, key: str | None, options: Options, *, quiet: bool
) -> VerifyReport:
    with progress_bar(quiet=quiet) as told:
        async with opened_sides(settings, told) as (sides, plans):
            plan_list = chosen(plans, [entity] if entity else [])
            if key is not None:
                codec = plan_list[0].projection.codec
                options = Options(options.mode, keys=(codec.parse_operator(key),), patience=options.patience)
            return await verify_entities(sides, plan_list, options)


def _print(report: VerifyReport) -> None:
    headings = ("entity", "records", "documents", "divergent", "parked", "undecided", "seconds", "verdict")
    print_table(headings, [_row(one) for one in report.entities])
    findings = [finding for one in report.entities for finding in one.findings]
    print_findings(findings)
    total = sum(one.counts.total() for one in report.entities)
    if total > SHOWN:
        say(f"{total - SHOWN} more; all of them: --json or --report FILE")
    for one in report.entities:
        if one.hot:
            say(f"{one.entity}: these keys change all the time: {', '.join(one.hot[:SHOWN])}", "yellow")
        if one.sample and one.verdict is Verdict.EQUAL:
            say(f"{one.entity}: among the equal ones {', '.join(one.sample)}", "dim")
    workers = f"{report.workers} workers" if report.workers else "no worker is running"
    say(f"queue {report.queue}, lag {report.lag_seconds:.1f} s, {workers}", "dim")
    out.print(Text(sentence(report), STYLES[report.verdict]))
    if report.verdict is Verdict.DIVERGENT:
        mend = "`syncline repair` marks what diverges" if total else "`syncline parked list` shows what is parked"
        say(f"{mend}; then verify again")


def _row(one: EntityReport) -> tuple[object, ...]:
    kinds = ", ".join(f"{count} {kind.value}" for kind, count in sorted(one.counts.items()))
    undecided = ", ".join(
        part
        for part in (f"{len(one.hot)} hot" if one.hot else "", f"{one.lagging} lagging" if one.lagging else "")
        if part
    )
    verdict = Text(one.verdict.value, STYLES[one.verdict])
    return (one.entity, one.records, one.documents, kinds, one.parked or "", undecided, f"{one.seconds:.1f}", verdict)
