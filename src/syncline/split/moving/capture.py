"""Capture of a move's links, on either side: put in place, looked at, taken away."""

from __future__ import annotations

from syncline.capture.postgres.install import install_in_turn, options_of, plan, uninstall
from syncline.config.settings import Settings
from syncline.errors import NotInstalledError, SwitchError
from syncline.insight import reach


async def install(settings: Settings, *, mark: bool = False) -> bool:
    """Put a link's capture in place; tell whether there was anything to do.

    Args:
        settings: the link.
        mark: have the worker mark all records of tables that were not captured for some time; otherwise nothing is
            marked, as rows are copied.

    Raises:
        PartlyDoneError: others hold the locks of some tables; run it again.
        MappingError, PrivilegeError, SourceUnavailableError: as ``syncline install``.

    """
    options = options_of(settings.source, backfill=mark)
    async with reach.source(settings.source, purpose="split", installed=False) as source:
        wanted = await plan(source, settings.entities, options)
        if wanted.changes:
            await install_in_turn(source, wanted, lambda: plan(source, settings.entities, options))
        return bool(wanted.changes)


async def require(settings: Settings, *, written: bool = False) -> None:
    """See that a link's capture is whole.

    Args:
        settings: the link.
        written: applications write there already: only what captures counts, not what is noted of new columns.

    Raises:
        SwitchError: what is missing.

    """
    options = options_of(settings.source, backfill=False)
    async with reach.source(settings.source, purpose="split", installed=False) as source:
        wanted = await plan(source, settings.entities, options)
    captures = any((wanted.migrations, wanted.statements, wanted.steps, wanted.arming, wanted.last))
    if captures or (wanted.changes and not written):
        what = "are not all captured" if written else "would not be captured"
        raise SwitchError(
            f"{settings.source.name}: writes {what}: {'; '.join(wanted.summary[:3])}",
            hint="`syncline split copy` puts it in place again",
        )


async def remove(settings: Settings) -> None:
    """Take a link's capture away, with its marks; nothing where there is none."""
    async with reach.source(settings.source, purpose="split", installed=False) as source:
        try:
            await uninstall(source)
        except NotInstalledError:
            return
