"""Capture of a move's links, on either side: put in place, looked at, taken away."""

from __future__ import annotations

from syncline.capture.postgres.install import install_in_turn, options_of, plan, uninstall
from syncline.config.settings import Settings
from syncline.errors import NotInstalledError, SwitchError
from syncline.insight import reach


async def install(settings: Settings) -> bool:
    """Put a link's capture in place; tell whether there was anything to do. Nothing is marked: rows are copied.

    Raises:
        PartlyDoneError: others hold the locks of some tables; run it again.
        MappingError, PrivilegeError, SourceUnavailableError: as ``syncline install``.

    """
    options = options_of(settings.source, backfill=False)
    async with reach.source(settings.source, purpose="split", installed=False) as source:
        wanted = await plan(source, settings.entities, options)
        if wanted.changes:
            await install_in_turn(source, wanted, lambda: plan(source, settings.entities, options))
        return bool(wanted.changes)


async def require(settings: Settings) -> None:
    """See that a link's capture is whole.

    Raises:
        SwitchError: what is missing.

    """
    options = options_of(settings.source, backfill=False)
    async with reach.source(settings.source, purpose="split", installed=False) as source:
        wanted = await plan(source, settings.entities, options)
    if wanted.changes:
        raise SwitchError(
            f"{settings.source.name}: writes would not be captured: {'; '.join(wanted.summary[:3])}",
            hint="`syncline split copy` puts it in place again",
        )


async def remove(settings: Settings) -> None:
    """Take a link's capture away, with its marks; nothing where there is none."""
    async with reach.source(settings.source, purpose="split", installed=False) as source:
        try:
            await uninstall(source)
        except NotInstalledError:
            return
