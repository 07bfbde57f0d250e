"""The tables of the collections: what ``syncline schema sql`` printed.

A later migration runs what ``syncline schema sql --changes`` prints for the changed ``syncline.toml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from django.db import migrations

TABLES = Path(__file__).with_suffix(".sql")


class Migration(migrations.Migration):  # type: ignore[misc]
    """Makes them; going back takes nothing away."""

    initial = True
    operations: ClassVar = [migrations.RunSQL(TABLES.read_text("utf-8"), migrations.RunSQL.noop)]
