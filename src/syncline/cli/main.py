"""The ``syncline`` command: its parts, put together."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer

from syncline.cli import (
    backfill,
    config,
    demo,
    doctor,
    explain,
    init,
    install,
    notices,
    parked,
    repair,
    serve,
    status,
    tracing,
    uninstall,
    verify,
    worker,
)
from syncline.cli.common import Boundary, Invocation, invocation

app = typer.Typer(
    cls=Boundary,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keeps MongoDB in step with PostgreSQL, and proves it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"syncline {installed_version('syncline')}")
        raise typer.Exit


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,  # noqa: ARG001
) -> None:
    """Keep MongoDB in step with PostgreSQL, and prove it."""
    invocation.set(Invocation(debug=debug))


app.command("init")(init.init)
app.command("install")(install.install)
app.command("uninstall")(uninstall.uninstall)
app.command("worker")(worker.worker)
app.command("backfill")(backfill.backfill)
app.command("serve")(serve.serve)
app.command("status")(status.status)
app.command("verify")(verify.verify)
app.command("repair")(repair.repair)
app.command("explain")(explain.explain)
app.add_typer(parked.app, name="parked")
app.add_typer(notices.app, name="notices")
app.command("doctor")(doctor.doctor)
app.command("tracing")(tracing.tracing)
app.command("demo")(demo.demo)
app.add_typer(config.app, name="config")


def main() -> None:
    """Run the command; the entry point of the package."""
    app()


def command() -> Any:
    """Give the whole command as click knows it: for the reference page and for tests."""
    return typer.main.get_command(app)


if __name__ == "__main__":
    main()
