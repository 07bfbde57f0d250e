"""``syncline worker``."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.boundary import invocation
from syncline.cli.common import ConfigOption, every_link, run
from syncline.cli.documents.common import documents_from
from syncline.cli.documents.worker import work
from syncline.errors import ConfigError, SynclineError

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.trace import TracerProvider
    from structlog.typing import FilteringBoundLogger

    from syncline.config import LogSettings, Settings
    from syncline.telemetry.observer import Observer
    from syncline.web.exporter import Counters

LAST_RESORT_SECONDS = 4.8
"""A process that was told to stop is gone after so long: within the 5 s that are promised."""


class Verify(StrEnum):
    """How a worker verifies."""

    CONTINUOUSLY = "continuously"


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """For whom it is logged."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


def worker(
    config: ConfigOption = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", hidden=True, help="Use `syncline adopt`: it takes a target over once.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve Prometheus metrics at this port, path /metrics (0: any free one).", min=0, max=65535),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address to serve them at.")] = "127.0.0.1",
    verify: Annotated[
        Verify | None,
        typer.Option("--verify", help="Also verify every entity again and again; see [verify] in the configuration."),
    ] = None,
    log_level: Annotated[
        LogLevel | None, typer.Option("--log-level", help="Instead of `level` of [log]; debug has a line per record.")
    ] = None,
    log_format: Annotated[LogFormat | None, typer.Option("--log-format", help="Instead of `format` of [log].")] = None,
    tracing: Annotated[
        bool, typer.Option("--tracing", help="Make OpenTelemetry spans (see `syncline tracing`).")
    ] = False,
) -> None:
    """Apply changes until stopped (SIGTERM, Ctrl-C). Run several: they share the work.

    It serves every link of the configuration, or the one that --link names. Of several it looks every 10 s which
    links the file declares. Where the file declares collections, it carries what is marked in MongoDB to PostgreSQL.
    """
    from syncline.config import passwords
    from syncline.telemetry import logs

    if adopt:
        raise ConfigError("a worker does not take a target over", hint="`syncline adopt` does, once, and asks first")
    told = {"level": log_level and log_level.value, "format": log_format and log_format.value}
    if documents := documents_from(config, tracing=tracing):
        if verify is not None:
            documents = replace(documents, verify=documents.verify.model_copy(update={"continuously": True}))
        chosen = documents.log.model_copy(update={name: value for name, value in told.items() if value})
        logs.setup(chosen, secrets=frozenset().union(*map(passwords, documents.urls)))
        run(work(documents, chosen, host=metrics_host, port=metrics_port, asked=arm))
        return
    links = every_link(config)
    served = FileLinks(config, links[0].log.model_copy(update={name: value for name, value in told.items() if value}))
    served.continuously = verify is not None
    follows = invocation.get().link is None and (len(links) > 1 or any(one.pattern for one in links))
    run(_worker(served, served.taken(links), follows=follows, host=metrics_host, port=metrics_port, tracing=tracing))


class FileLinks:
    """The links of a file, as they are declared when it is read again; and what is told of their work."""

    def __init__(self, config: Path | None, log: LogSettings) -> None:
        self.continuously = False
        self.counters: Counters | None = None
        self.tracer: TracerProvider | None = None
        self._config, self._log = config, log
        self._said = ""
        self._secrets: frozenset[str] | None = None
        """Of every link that was ever read: who is served no more may say its password on the way out."""

    def links(self) -> Sequence[Settings] | None:
        """Read the file again; what is wrong with it is logged once."""
        import structlog

        try:
            found, self._said = every_link(self._config), ""
        except (SynclineError, OSError) as error:
            said = error.message if isinstance(error, SynclineError) else str(error)
            if said != self._said:
                self._said = said
                log = structlog.get_logger("syncline")
                log.warning("the configuration cannot be read again, the links stay as they are", error=said)
            return None
        return self.taken(found)

    def taken(self, links: Sequence[Settings]) -> Sequence[Settings]:
        """Fit what the file says of links to what the command was asked for; their passwords are never logged."""
        from syncline.config import passwords
        from syncline.telemetry import logs

        urls = [url for one in links for url in (one.source.url, one.target.url)]
        secrets = (self._secrets or frozenset()).union(*map(passwords, urls))
        if secrets != self._secrets:
            self._secrets = secrets
            logs.setup(self._log, secrets=secrets)
        if self.continuously:
            links = [replace(one, verify=one.verify.model_copy(update={"continuously": True})) for one in links]
        return [replace(one, log=self._log) for one in links]

    def observer(self, settings: Settings) -> Observer:
        """Make what is told of a link's work."""
        from syncline.telemetry.observer import LoggingObserver, Observers

        told: list[Observer] = [LoggingObserver(wants_keys=self._log.level == "debug")]
        if self.counters is not None:
            from syncline.wiring.sides import make_health

            told.append(self.counters.add(settings.link.name, make_health(settings)))
        if self.tracer is not None:
            from syncline.telemetry.tracing import TracingObserver

            told.append(TracingObserver(self.tracer))
        return Observers(*told)

    async def leave(self, link: str) -> None:
        """Count no more for a link."""
        if self.counters is not None:
            await self.counters.remove(link)


async def _worker(
    served: FileLinks, links: Sequence[Settings], *, follows: bool, host: str, port: int | None, tracing: bool
) -> None:
    from syncline.running import run_workers

    async with contextlib.AsyncExitStack() as stack:
        if port is not None:
            from syncline.web.exporter import counting  # needs the extra [metrics]

            served.counters = await stack.enter_async_context(counting(host=host, port=port))
        if tracing:
            from syncline.telemetry.tracing import exporting_traces  # needs the extra [tracing]

            served.tracer = stack.enter_context(exporting_traces("syncline-worker"))
        await run_workers(
            [(one, served.observer(one)) for one in links], asked=arm, declared=served if follows else None
        )


def arm() -> None:
    """See that the process ends, whatever hangs on the way out: a driver, an exporter, a look-up of a name."""
    import structlog  # now: on the way out an import may hang too

    last = threading.Timer(LAST_RESORT_SECONDS, _leave, (structlog.get_logger("syncline"),))
    last.daemon = True
    last.start()


def _leave(log: FilteringBoundLogger) -> None:
    """End as ``kill`` does: leases and claims run out, marks are read again by others, nothing is lost."""
    log.warning("worker cut off: something did not end in time; nothing is lost")
    sys.stderr.flush()
    os._exit(0)
