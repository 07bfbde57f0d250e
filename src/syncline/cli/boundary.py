"""The error boundary: errors become one clear line and an exit status; no traceback unless asked for, and no secret."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import typer
import typer.core
from rich.console import Console
from rich.text import Text

from syncline.errors import SourceUnavailableError, SynclineError, TargetUnavailableError
from syncline.model.link import current, entered

COULD_NOT_RUN = 3
"""Exit status: the command could not do what it was asked to do."""
UNEXPECTED = 70
INTERRUPTED = 130

err = Console(stderr=True, soft_wrap=True, highlight=False)


@dataclass
class Invocation:
    """What is true for one run of the command."""

    debug: bool = False
    as_json: bool = False
    """The command prints JSON, and so does its error."""
    secrets: set[str] = field(default_factory=set)
    resume: str | None = None
    """How to go on after an interruption."""
    link: str | None = None
    """The link that was named."""
    collected: dict[str, Any] | None = None
    """What is printed as JSON by link, where a command is run for each of them."""


invocation: ContextVar[Invocation] = ContextVar("invocation")


class Group(typer.core.TyperGroup):
    """A group of commands whose help is never cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, each with the whole first sentence of its help."""
        rows = [(name, self.summary(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def summary(self, name: str) -> str:
        """Give the first paragraph of a command's help, in one line."""
        return " ".join((self.commands[name].help or "").split("\n\n")[0].split())


def group(summary: str) -> typer.Typer:
    """Make a group of commands."""
    return typer.Typer(cls=Group, no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=summary)


class Boundary(Group):
    """Turns errors into one clear line and an exit status."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer.Context is click's
        """Run the command inside of the boundary."""
        try:
            try:
                with entered(current()):
                    return super().invoke(ctx)
            finally:
                write_out()
        except typer.Abort:
            raise
        except KeyboardInterrupt:
            if (resume := invocation.get().resume) is not None:
                err.print(Text(f"interrupted; {resume}"))
            raise typer.Exit(INTERRUPTED) from None
        except SynclineError as error:
            complain(error)
            raise typer.Exit(COULD_NOT_RUN) from None
        except BrokenPipeError:
            raise typer.Exit(1) from None
        except Exception as error:
            if hasattr(error, "exit_code"):  # Typer's own: wrong usage, or the end
                raise
            _complain(
                f"unexpected {type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                "this is a defect of Syncline; `syncline --debug …` shows where",
            )
            raise typer.Exit(UNEXPECTED) from None


def write_out(text: str = "") -> None:
    """Write a text, and what was printed before, while it can still be told that it cannot be written.

    Raises:
        BrokenPipeError: nobody reads it any more.
        SynclineError: it cannot be written.

    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # else it is tried once more at the end, with a traceback
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise SynclineError(f"the output cannot be written: {error.strerror}") from error


def complain(error: SynclineError) -> None:
    """Print one of our errors."""
    _complain(error.message, error.hint or _advice(error))


def _advice(error: SynclineError) -> str | None:
    """Say what to do about a database that does not answer, where nobody has said it better."""
    if isinstance(error, SourceUnavailableError):
        return "nothing is lost; `syncline doctor` says what keeps the source away"
    if isinstance(error, TargetUnavailableError):
        return "nothing is lost, changes wait in the source; `syncline doctor` says what keeps the target away"
    return None


def _complain(message: str, hint: str | None) -> None:
    if invocation.get().debug:
        err.print(Text(_masked(traceback.format_exc()), "dim"))
    if invocation.get().as_json:
        told = {"message": _masked(message), "hint": _masked(hint) if hint else None}
        err.print(Text(json_text({"error": told}, sys.stderr)))
        return
    err.print(Text("error: ", "bold red"), Text(_masked(message)), sep="")
    if hint:
        err.print(Text(f"  {_masked(hint)}", "yellow"))


def json_text(value: Any, stream: Any, **options: Any) -> str:
    """Write JSON in the characters that a stream has; the others as JSON spells them out."""
    has_all = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not has_all, **options)


def _masked(text: str) -> str:
    from syncline.config.secrets import MASK, redact  # pulls in pydantic: only where something is printed

    for secret in invocation.get().secrets:
        text = text.replace(secret, MASK)
    return redact(text)
