"""``syncline verify``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.text import Text

from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, JsonOption, configured, finite, out, print_json, print_table, run, say
from syncline.cli.documents import verify as of_documents
from syncline.cli.documents.common import documents_from
from syncline.cli.sharing import DaskOption, ProcessesOption, Sharing
from syncline.cli.sync_check import Check, SyncReport, judged, look_at_sides, print_sync
from syncline.cli.verifying import SHOWN, chosen, print_findings, progress_bar
from syncline.errors import SynclineError
from syncline.model.words import counted
from syncline.verify.report import Verdict

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.config.documents import Documents
    from syncline.verify.one_pass import Options
    from syncline.verify.report import EntityReport, VerifyReport

STYLES = {Verdict.EQUAL: "bold green", Verdict.DIVERGENT: "bold red", Verdict.UNDECIDED: "bold yellow"}


NOBODYS = 2
"""Exit status for records that neither side has: nothing was proved, the key may be mistyped."""
RATE = 10_000
"""Records a second by default."""


def verify(
    entities: Annotated[
        list[str] | None,
        typer.Argument(help='The entities; all by default. `todos 5` is the record 5 of todos (or "1,x", ["1", "x"]).'),
    ] = None,
    key: Annotated[list[str] | None, typer.Option("--key", help="Only this record; may be repeated.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="Only records from this key on; it is included.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only records before this key; it is not included.")] = None,
    keys_only: Annotated[bool, typer.Option("--keys-only", help="Compare keys, not contents: cheap.")] = False,
    sample: Annotated[int | None, typer.Option(help="Compare so many records, chosen at random.", min=1)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a verification that was interrupted.")] = False,
    rate: Annotated[
        int, typer.Option(help="Records a second at most, so that the application feels little; 0: no limit.", min=0)
    ] = RATE,
    processes: ProcessesOption = 1,
    dask: DaskOption = None,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for what may be only lag.", min=0, callback=finite)
    ] = 60,
    report: Annotated[
        Path | None, typer.Option(help="Write every finding to this file as it is made (a line of JSON each).")
    ] = None,
    sync: Annotated[
        bool,
        typer.Option(
            "--sync",
            help="Answer all there is to ask: outbox, secondary, counts, contents, a sample, lag, failed events.",
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare both databases, record by record, while they are in use.

    A difference counts when it stays after a second look with no change on its way. Where the file declares
    collections, their documents are compared with their rows; a document that is marked is on its way.

    Exit status: 0 proved equal: everything, or the range or the keys that you asked about; 1 divergent, or some of
    these records are parked; 2 undecided (lag, keys that change all the time, no worker), or no difference in a random
    sample or in keys alone; 3 could not run.
    """
    from syncline.executing.collector import tune_garbage_collection
    from syncline.verify.one_pass import Options
    from syncline.verify.render import as_dict
    from syncline.verify.report import Mode
    from syncline.verify.spool import ReportFile

    sharing = Sharing(processes, dask)
    asking = partial(Asked, first=first, end=end, keys_only=keys_only, sample=sample, resume=resume, sharing=sharing)
    if documents := documents_from(config):
        words = of_documents.names_and_keys(documents, list(entities or ()), list(key or ()))
        asked = asking(*words)
        asked.check("collection")
        sides = _looked_at(partial(of_documents.look_at_sides, documents), asked, as_json=as_json) if sync else None
        how: dict[str, Any] = {"sample": sample, "resume": resume, "keys_only": keys_only, "sharing": sharing}
        wish = of_documents.Wish(*words, rate or None, patience, as_json, first=first, end=end, **how)
        _ended(_of_documents(documents, wish, report), report, words, sides, as_json=as_json)
    settings = configured(config)
    names, keys = _names_and_keys(settings, list(entities or ()), list(key or ()))
    asked = asking(names, keys)
    asked.check("entity")
    sides = _looked_at(partial(look_at_sides, settings), asked, as_json=as_json) if sync else None
    file = ReportFile(report, resume=resume) if report else None
    mode = Mode.KEYS if keys_only else Mode.SAMPLE if sample or keys else Mode.FULL
    options = Options(mode, sample or 1000, patience=timedelta(seconds=patience), rate=rate or None, taker=file)
    tune_garbage_collection()
    if mode is not Mode.SAMPLE:
        invocation.get().resume = "`syncline verify --resume` goes on where it was"
    try:
        found = run(_verify(settings, asked, options, quiet=as_json))
        if file is not None:
            file.end(as_dict(found, findings=0))
    finally:
        if file is not None:
            file.close()
    _ended(found, report, (names, keys), sides, as_json=as_json, back=settings.link.reverse)


def _of_documents(documents: Documents, wish: of_documents.Wish, path: Path | None) -> VerifyReport:
    from syncline.executing.collector import tune_garbage_collection
    from syncline.verify.render import as_dict
    from syncline.verify.spool import ReportFile

    tune_garbage_collection()
    if wish.passes:
        invocation.get().resume = "`syncline verify --resume` goes on where it was"
    if path is None:
        return run(of_documents.verify_documents(documents, wish))
    file = ReportFile(path, resume=wish.resume)
    try:
        found = run(of_documents.verify_documents(documents, wish, file))
        file.end(as_dict(found, findings=0))
        return found
    finally:
        file.close()


def _ended(
    found: VerifyReport,
    path: Path | None,
    asked: tuple[Sequence[str], Sequence[str]],
    sides: tuple[Check, Check] | None,
    *,
    as_json: bool,
    back: str | None = None,
) -> NoReturn:
    from syncline.verify.render import as_dict

    if sides is not None:
        _end(judged(sides, found), as_json=as_json)
    nobody = _nobodys(found, *asked)
    if as_json:
        print_json(as_dict(found) | ({"summary": nobody, "exit_status": NOBODYS} if nobody else {}))
    elif nobody:
        say(nobody, "bold yellow")
    else:
        _print(found, path, back=back)
    raise typer.Exit(NOBODYS if nobody else found.exit_status)


def _nobodys(found: VerifyReport, names: Sequence[str], keys: Sequence[str]) -> str | None:
    """Say that the records asked for exist on neither side; ``None``: one of them does."""
    if not keys or any(one.records or one.documents or one.counts or one.parked for one in found.entities):
        return None
    return f"Neither side has {names[0]} {', '.join(keys)}."


def _looked_at(look: Callable[[], tuple[Check, Check]], asked: Asked, *, as_json: bool) -> tuple[Check, Check]:
    """Look at both sides; end here when one is missing."""
    if asked.names or asked.keys or asked.keys_only or asked.first or asked.end:
        raise SynclineError("--sync looks at everything", hint="leave names, keys and ranges out")
    sides = look()
    if not all(side.ok for side in sides):
        _end(judged(sides, None), as_json=as_json)
    return sides


def _end(report: SyncReport, *, as_json: bool) -> NoReturn:
    print_json(report.as_dict()) if as_json else print_sync(report)
    raise typer.Exit(report.exit_status)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    names: Sequence[str]
    keys: Sequence[str]
    first: str | None
    end: str | None
    keys_only: bool
    sample: int | None
    resume: bool
    sharing: Sharing

    def check(self, kind: str) -> None:
        """Refuse what contradicts itself.

        Args:
            kind: what the names are of.

        Raises:
            SynclineError: it does.

        """
        ranged = self.first is not None or self.end is not None
        parts = [
            name for name, given in (("a key", self.keys), ("a range", ranged), ("--sample", self.sample)) if given
        ]
        if len(parts) > 1:
            raise SynclineError(f"{parts[0]} does not go with {parts[1]}", hint="leave one of them out")
        if self.keys_only and (self.keys or self.sample):
            raise SynclineError(f"--keys-only does not go with {parts[0]}", hint="leave one of them out")
        if self.resume and (self.keys or self.sample):
            raise SynclineError(f"--resume does not go with {parts[0]}", hint="it is quick: start it again")
        if (option := self.sharing.option) and (self.keys or self.sample):
            raise SynclineError(f"{option} does not go with {parts[0]}", hint=f"it is quick: leave {option} out")
        if (self.keys or ranged) and len(self.names) != 1:
            raise SynclineError(f"{parts[0]} needs one {kind}", hint=f"name it: syncline verify {kind.upper()} …")


def _names_and_keys(settings: Settings, words: list[str], keys: list[str]) -> tuple[list[str], list[str]]:
    """Read `todos 5` as a record of an entity, `todos users` as two entities."""
    if len(words) == 2 and not keys and settings.entity(words[0]) and not settings.entity(words[1]):
        return words[:1], words[1:]
    return words, keys


async def _verify(settings: Settings, asked: Asked, options: Options, *, quiet: bool) -> VerifyReport:
    from syncline.verify.verifier import verify as verify_entities
    from syncline.wiring.sides import opened_sides
    from syncline.wiring.work import LinkWork

    with progress_bar(quiet=quiet) as on_progress:
        async with (
            asked.sharing.executing(LinkWork(settings)) as executor,
            opened_sides(settings, on_progress, executor=executor) as (sides, plans),
        ):
            plan_list = chosen(plans, asked.names)
            if asked.keys or asked.first is not None or asked.end is not None:
                key_of = plan_list[0].projection.codec.parse_operator
                options = replace(
                    options,
                    keys=[key_of(key) for key in asked.keys],
                    first=None if asked.first is None else key_of(asked.first),
                    end=None if asked.end is None else key_of(asked.end),
                )
            return await verify_entities(sides, plan_list, options, resume=asked.resume)


def _print(report: VerifyReport, file: Path | None, *, back: str | None) -> None:
    from syncline.verify.render import sentence

    headings = ("entity", "records", "documents", "found", "seconds", "verdict")
    print_table(headings, [_row(one) for one in report.entities])
    findings = [finding for one in report.entities for finding in one.findings]
    print_findings(findings)
    total = sum(one.counts.total() for one in report.entities)
    if total > SHOWN:
        say(f"{total - SHOWN:,} more; all of them: {file or '--report FILE'}")
    for one in report.entities:
        if one.hot:
            say(f"{one.entity}: these keys change all the time: {', '.join(one.hot[:SHOWN])}", "yellow")
        if one.sample and one.verdict is Verdict.EQUAL:
            say(f"{one.entity}: among the equal ones {', '.join(one.sample)}", "dim")
    workers = counted(report.workers, "worker") if report.workers else "no worker is running"
    say(f"queue {report.queue}, lag {report.lag_seconds:.1f} s, {workers}", "dim")
    out.print(Text(sentence(report), STYLES[report.verdict]))
    if report.verdict is Verdict.DIVERGENT:
        say(f"{_advice(report)}; then verify again")
        if back is not None:
            say(f"what {back} has not brought yet is a difference, too: see `syncline status --link {back}` first")


def _advice(report: VerifyReport) -> str:
    """Say what to do about what was found, the easiest first."""
    from syncline.verify.repair import UNTOUCHED

    kinds = {kind for one in report.entities for kind, count in one.counts.items() if count}
    if kinds - UNTOUCHED.keys():
        return "`syncline repair` marks what diverges"
    ways = [f"{kind.value}: {UNTOUCHED[kind]}" for kind in sorted(kinds)]
    ways += ["`syncline parked list` shows what is parked"] if any(one.parked for one in report.entities) else []
    return "; ".join(ways)


def _row(one: EntityReport) -> tuple[object, ...]:
    found = [f"{count:,} {kind.value}" for kind, count in sorted(one.counts.items())]
    others = {"parked": one.parked, "hot": len(one.hot), "lagging": one.lagging}
    found += [f"{count:,} {what}" for what, count in others.items() if count]
    clean_part = one.verdict is Verdict.UNDECIDED and not (one.hot or one.lagging or one.obstacles)
    verdict = Text("no difference", "green") if clean_part else Text(one.verdict.value, STYLES[one.verdict])
    numbers = (f"{number:,}" for number in (one.records, one.documents))
    return (one.entity, *numbers, ", ".join(found), f"{one.seconds:.1f}", verdict)
