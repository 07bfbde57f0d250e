"""The parameters of connections that do not wait for ever: neither to be opened, nor for a server that is gone."""

from __future__ import annotations

from typing import Any

SOURCE_SILENT_SECONDS, COPY_SILENT_SECONDS = 10.0, 60.0


def bounded(
    application: str, *, connect_seconds: int, silent_seconds: float, prepared_after: int | None = None
) -> dict[str, Any]:
    """Give what ``psycopg`` connects with; nothing is set on the session itself.

    Args:
        application: how the server calls it.
        connect_seconds: limit of connecting.
        silent_seconds: so long what was sent may stay unacknowledged by the server's machine.
        prepared_after: executions after which a statement is prepared; ``None``: never.

    """
    return {
        "autocommit": True,
        "prepare_threshold": prepared_after,
        "application_name": application,
        "connect_timeout": connect_seconds,
        "client_encoding": "utf8",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": int(silent_seconds * 1000),
    }
