"""Defaults and bounds that commands show in their help: known without a driver."""

from __future__ import annotations

from datetime import timedelta

CONFIG_FILE = "syncline.toml"
LOCK_TIMEOUT = timedelta(milliseconds=150)
"""How long one attempt of an installation waits for a table's lock, and others behind it."""
PATIENCE = timedelta(seconds=60)
"""How long an installation tries tables again that others hold."""
MOST_RATE, MOST_SECONDS, MOST_WRITERS = 5_000, 300, 16
"""What a load test asks of a source at most."""
