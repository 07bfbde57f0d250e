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
from syncline.demo.display import Display, display_for
from syncline.demo.environment import Environment, opened
from syncline.demo.proof import measured, prove, proved
from syncline.demo.scenario import Application, BuiltIn
from syncline.demo.script import Script
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
    """Folder of the application that is run; ``None``: the demo's own small schema."""
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
    scenario = BuiltIn() if options.app is None else Application(options.app)
    display = display_for(console)
    with interruptible(), contextlib.ExitStack() as cleaning:
        cleaning.callback(display.end)
        environment = cleaning.enter_context(opened(scenario, display.preparing, accept=options.accept))
        cleaning.callback(display.end)
        cleaning.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the cleaning
        display.begin(environment)
        return asyncio.run(_run(environment, display, options))


async def _run(environment: Environment, display: Display, options: DemoOptions) -> int:
    script = Script(environment, display, seconds=options.seconds)
    async with script.opened():
        await script.perform()
        frozen = view(
            script.picture,
            (environment.postgres, environment.mongo),
            environment.ways_in(brief=True),
            record.WIDTH,
            record.HEIGHT,
        )
        await script.drain()
        report = await _prove(environment, script)
        lines = [(proved(report, script.picture), _style(report)), (measured(script.picture), "dim")]
        if options.keep:
            await _keep(script, lines)
    display.end()
    for text, style in lines:
        display.say(text, style)
    if options.record:
        record.save(options.record, frozen, lines)
    return report.exit_status


async def _prove(environment: Environment, script: Script) -> VerifyReport:
    script.picture.note("verifying: a full pass over both databases")
    seen: set[str] = set()

    def on_step(step: Step) -> None:
        if step.entity not in seen:
            seen.add(step.entity)
            script.picture.note(f"verifying {step.entity}")

    return await prove(environment.settings, on_step)


async def _keep(script: Script, lines: list[tuple[str, str]]) -> None:
    for text, _ in lines:
        script.picture.note(text)
    script.picture.note("everything keeps running, with calm traffic, until Ctrl-C")
    await script.go_on()


def _style(report: VerifyReport) -> str:
    return "bold green" if report.verdict is Verdict.EQUAL else "bold red"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
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
