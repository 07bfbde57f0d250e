"""What views work with: one of each for a process, made when Django has started."""

from __future__ import annotations

from typing import cast

from django.apps import apps

from taskboard.apps import Taskboard


def served() -> Taskboard:
    """Give this process's application, which has the repositories."""
    return cast("Taskboard", apps.get_app_config("taskboard"))
