"""The Django application."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.conf import settings

if TYPE_CHECKING:
    from taskboard.repositories import Repositories


class Taskboard(AppConfig):  # type: ignore[misc]
    """Holds the repositories of this process."""

    name = "taskboard"

    @cached_property
    def repositories(self) -> Repositories:
        """One of each."""
        from taskboard.repositories import repositories

        return repositories(settings.SYNCLINE_DOCUMENTS)
