"""``syncline verify`` and ``syncline repair`` where documents are the source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from syncline.cli.common import run
from syncline.cli.documents.opening import standing
from syncline.cli.sharing import Sharing
from syncline.cli.sync_check import Check
from syncline.cli.verifying import progress_bar
from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.documents.opening import DocumentLink
    from syncline.documents.verifying import DocumentVerifier
    from syncline.verify.repair import RepairReport
    from syncline.verify.report import EntityReport, VerifyReport
    from syncline.verify.spool import Taker


_ERR = Console(stderr=True, soft_wrap=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for."""

    collections: Sequence[str]
    keys: Sequence[str] = ()
    rate: int | None = None
    patience: float = 60.0
    quiet: bool = False
    sample: int | None = None
    resume: bool = False
    first: str | None = None
    end: str | None = None
    keys_only: bool = False
    sharing: Sharing = field(default_factory=Sharing)

    @property
    def passes(self) -> bool:
        """Whether each collection is walked from one key to another, which can be gone on with."""
        return not self.keys and not self.sample


def names_and_keys(documents: Documents, words: Sequence[str], keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Read `tasks 5` as a document of a collection, `tasks labels` as two collections."""
    declared = {mapping.collection.name for mapping in documents.mappings}
    if len(words) == 2 and not keys and words[0] in declared and words[1] not in declared:
        return [words[0]], [words[1]]
    return [*words], [*keys]


async def verify_documents(documents: Documents, wish: Wish, taker: Taker | None = None) -> VerifyReport:
    """Compare; a collection in complete is left out, aloud."""
    from syncline.documents.verify_run import compared

    with progress_bar(quiet=wish.quiet) as told:
        async with standing(documents.only(wish.collections)) as link:
            names, left = await compared(link, wish.collections)
            if left:
                _ERR.print(f"left out, being complete: {', '.join(left)}", style="yellow")
            return await _verified(link, replace(wish, collections=names), taker, told)


def look_at_sides(documents: Documents) -> tuple[Check, Check]:
    """Look whether what carries documents is installed as declared, and whether PostgreSQL answers."""
    return run(_sides(documents))


async def _sides(documents: Documents) -> tuple[Check, Check]:
    from syncline.documents.status import TARGET, DocumentHealth
    from syncline.model.words import counted

    health = DocumentHealth(documents)
    try:
        state = (await health.read()).databases[TARGET]
    finally:
        await health.close()
    secondary = Check("secondary connected", state.connected, state.error or f"{state.version}, {state.latency_ms} ms")
    name = "outbox present"
    try:
        async with standing(documents) as link:
            return Check(name, True, f"the marks of {counted(len(link.collections), 'collection')}"), secondary
    except SynclineError as error:
        return Check(name, False, f"{error.message}{f'; {error.hint}' if error.hint else ''}"), secondary


async def repair_documents(
    documents: Documents, collection: str | None, path: Path | None, *, dry_run: bool, quiet: bool
) -> tuple[VerifyReport, RepairReport]:
    """Compare, and mark what diverges; with a report of `verify` only what it names."""
    from syncline.documents.repairing import DocumentRepairer
    from syncline.verify.report import VerifyReport

    wanted = None if path is None else _read(path, collection)
    names = [collection] if collection else list(wanted or ())
    with progress_bar(quiet=quiet) as told:
        async with standing(documents.only(names)) as link:
            repairer = DocumentRepairer(link, dry_run=dry_run)
            if wanted is None:
                return await _verified(link, Wish(link.collections), repairer, told), repairer.report
            whole = VerifyReport()
            for name in names:
                one = Wish([name], wanted.get(name, []))
                whole.entities += (await _verified(link, one, repairer, told)).entities if one.keys else []
            return whole, repairer.report


def _read(path: Path, collection: str | None) -> dict[str, list[str]]:
    from syncline.verify.report import Kind
    from syncline.verify.spool import keys_in

    wanted: dict[str, list[str]] = defaultdict(list)
    for name, key in keys_in(path, without={Kind.FOREIGN}):  # these are keys of no _id: nothing can be looked up
        if collection is None or name == collection:
            wanted[name].append(key)
    return wanted


async def _verified(link: DocumentLink, wish: Wish, taker: Taker | None, told: Any) -> VerifyReport:
    from syncline.cli.documents.sharing import sharing
    from syncline.documents.verify_run import note_situation
    from syncline.documents.verifying import DocumentVerifier
    from syncline.verify.one_pass import Step

    def tell(report: EntityReport, total: int) -> None:
        told(Step(report.entity, "source", report.records, total))

    async with sharing(link.documents, wish.sharing, wish.rate) as others:
        patience = timedelta(seconds=wish.patience)
        verifier = DocumentVerifier(link, rate=wish.rate, patience=patience, taker=taker, told=tell, others=others)
        try:
            found = await _asked(link, verifier, wish, taker)
        finally:
            await verifier.close()
    await note_situation(link, found)
    return found


async def _asked(link: DocumentLink, verifier: DocumentVerifier, wish: Wish, taker: Taker | None) -> VerifyReport:
    from syncline.documents.asking import asked_for, part_of
    from syncline.documents.verify_run import VerifyRun
    from syncline.engines.postgres.documents.passes import DocumentPasses

    names = wish.collections or link.collections
    if wish.keys:
        ids = [asked_for(link.mapping(names[0]), key) for key in wish.keys]
        return await verifier.verify_some(names[0], ids)
    if wish.sample:
        return await verifier.verify_sample(names, wish.sample)
    mappings = [link.mapping(name) for name in names]
    part = part_of(mappings[0], wish.first, wish.end, keys_only=wish.keys_only)
    passes = DocumentPasses(link.documents.url("target"))
    try:
        return await VerifyRun(verifier, passes, taker=taker).verify(mappings, part=part, resume=wish.resume)
    finally:
        await passes.close()
