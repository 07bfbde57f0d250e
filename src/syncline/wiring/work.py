"""What the jobs of a command about tables are about, and how another host finds the same."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncline.config import Settings, load
from syncline.model.link import Link

if TYPE_CHECKING:
    from syncline.wiring.performing import LinkPerformer


@dataclass(frozen=True, slots=True)
class LinkWork:
    """See ``syncline.ports.Work``: jobs about the tables of a link."""

    settings: Settings

    @property
    def link(self) -> Link:
        """The link."""
        return self.settings.link

    @property
    def origin(self) -> OfLink:
        """The link's name."""
        return OfLink(self.settings.link.name)

    def performer(self, stack: AsyncExitStack) -> LinkPerformer:
        """Make what does jobs by these settings."""
        from syncline.wiring.performing import LinkPerformer  # slow to import: only where jobs are done

        return LinkPerformer(self.settings, stack)


@dataclass(frozen=True, slots=True)
class OfLink:
    """See ``syncline.ports.Origin``."""

    name: str

    def work(self) -> LinkWork:
        """Read the settings of the link: from the file, or from the home of the move that it belongs to."""
        from syncline.split.moving.links import settings_of_move  # slow to import: only where it is asked for

        return LinkWork(settings_of_move(None, self.name) or load(link=self.name))
