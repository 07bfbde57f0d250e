"""``--link``: every command that works for a link has it; those that may serve all links of the file do without."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from syncline.cli.boundary import COULD_NOT_RUN, complain, invocation
from syncline.cli.common import print_json, say
from syncline.errors import ConfigError, SynclineError
from syncline.model.json_names import Named
from syncline.model.link import Link

NONE = frozenset({"init", "demo", "db", "backup", "split", "schema"})
"""Commands that are about no link."""
SERVE_ALL = frozenset(
    {"install", "status", "doctor", "config show", "config check", "notices list", "parked list", "tracing"}
)
"""Commands that are run for each link where none is named."""


def add_link(command: Any, name: str) -> None:
    """Give a command, or each of a group, the option."""
    if name.partition(" ")[0] in NONE:
        return
    for inner, one in getattr(command, "commands", {}).items():
        add_link(one, f"{name} {inner}")
    if any(parameter.name == "config" for parameter in command.params):
        command.params.append(_option())
        if name in SERVE_ALL:
            command.callback = _for_each(command.callback)


def _note(link: str | None) -> str | None:
    invocation.get().link = link
    return link


def _option() -> Any:
    made = typer.Typer(add_completion=False)

    @made.command()
    def _(
        link: Annotated[
            str | None,
            typer.Option("--link", callback=_note, expose_value=False, help="Which [links.NAME] of the configuration."),
        ] = None,
    ) -> None:
        del link

    return typer.main.get_command(made).params[0]


def _for_each(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        names = _several(options.get("config"))
        if not names or options.get("watch"):
            return call(*arguments, **options)
        if options.get("as_sql"):  # several scripts on one output are not a script
            there = ", ".join(str(Link(name)) for name in names)
            raise ConfigError(f"--sql writes the script of one link; the file has {there}", hint="name it: --link NAME")
        raise typer.Exit(max(_run(names, functools.partial(call, *arguments, **options))))

    return wrapped


def _several(config: Path | None) -> list[str]:
    """Name the links of a file that has several, unless one of them was asked for."""
    if invocation.get().link is not None:
        return []
    from syncline.config import load_links
    from syncline.config.documents import declares_collections

    if declares_collections(config):
        return []
    names = [one.link.name for one in load_links(config)]
    return names if len(names) > 1 else []


def _run(names: list[str], call: Callable[[], Any]) -> Iterator[int]:
    """Run a command for each link, whatever becomes of the others; give the exit statuses."""
    state = invocation.get()
    state.collected = {} if state.as_json else None
    for name in names:
        state.link = name
        if not state.as_json:
            say(f"link {name}" if name else "the link without a name", "bold")
        try:
            call()
            yield 0
        except typer.Exit as end:
            yield end.exit_code
        except SynclineError as error:
            complain(error)
            yield COULD_NOT_RUN
    if state.collected is not None:
        collected, state.collected = state.collected, None
        print_json({"links": Named(collected)})
