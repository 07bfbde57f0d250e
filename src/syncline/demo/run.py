"""The whole demo: set up, show, prove, clean up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from syncline.demo import record
from syncline.demo.piece import Application, BuiltIn
from syncline.demo.place import Place, opened
from syncline.demo.proof import measured, prove, proved
from syncline.demo.show import Show
from syncline.demo.stage import Stage, stage_for
from syncline.demo.view import view
from syncline.verify.one_pass import Step
from syncline.verify.report import Verdict, VerifyReport


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How to run the demo."""

    seconds: float = 25.0
    """How long there is traffic."""
    keep: bool = False
    """Go on with calm traffic after the verification, until Ctrl-C."""
    accept: bool = False
    """The user accepts the licence of the MongoDB engine."""
    app: Path | None = None
    """Folder of the application that is played; ``None``: the demo's own small schema."""
    record: Path | None = None
    """Write a picture of the run there, as SVG."""


def run_demo(options: DemoOptions, console: Console) -> int:
    """Run it; return the exit status of the verification.

    Whatever happens, the processes that it started are gone afterwards, and so is the folder.

    Raises:
        ConsentError: the MongoDB engine would have to be fetched, and its licence is not accepted.
        EngineError: a database server is missing or does not start.
        KeyboardInterrupt: Ctrl-C, SIGTERM or a closed terminal.

    """
    piece = BuiltIn() if options.app is None else Application(options.app)
    stage = stage_for(console)
    with _interruptible(), contextlib.ExitStack() as cleaning:
        cleaning.callback(stage.end)
        place = cleaning.enter_context(opened(piece, stage.preparing, accept=options.accept))
        cleaning.callback(stage.end)
        cleaning.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning
        stage.begin(place)
        return asyncio.run(_run(place, stage, options))


async def _run(place: Place, stage: Stage, options: DemoOptions) -> int:
    show = Show(place, stage, seconds=options.seconds)
    async with show.opened():
        await show.perform()
        frozen = view(
            show.picture, (place.postgres, place.mongo), place.ways_in(brief=True), record.WIDTH, record.HEIGHT
        )
        await show.drain()
        report = await _prove(place, show)
        lines = [(proved(report, show.picture), _style(report)), (measured(show.picture), "dim")]
        if options.keep:
            await _keep(show, lines)
    stage.end()
    for text, style in lines:
        stage.say(text, style)
    if options.record:
        record.save(options.record, frozen, lines)
    return report.exit_status


async def _prove(place: Place, show: Show) -> VerifyReport:
    show.picture.note("verifying: a full pass over both databases")
    seen: set[str] = set()

    def told(step: Step) -> None:
        if step.entity not in seen:
            seen.add(step.entity)
            show.picture.note(f"verifying {step.entity}")

    return await prove(place.settings, told)


async def _keep(show: Show, lines: list[tuple[str, str]]) -> None:
    for text, _ in lines:
        show.picture.note(text)
    show.picture.note("everything keeps running, with calm traffic, until Ctrl-C")
    await show.go_on()


def _style(report: VerifyReport) -> str:
    return "bold green" if report.verdict is Verdict.EQUAL else "bold red"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a closed terminal do what Ctrl-C does; and let that work where a shell has switched it off."""

    def interrupt(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, interrupt)
    if before[signal.SIGHUP] != signal.SIG_IGN:  # else nohup has said what it wants
        signal.signal(signal.SIGHUP, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
