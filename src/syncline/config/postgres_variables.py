"""``POSTGRES_HOST`` and the like: the target of document links where neither ``DATABASE_URL`` nor the file names it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from syncline.config.urls import of_primary
from syncline.errors import ConfigError

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FIRST_WITH_SYSTEM = 160_000
"""libpq that knows the system's certificates by name."""


def postgres_url(env: Mapping[str, str]) -> str | None:
    """Make a URL of ``POSTGRES_HOST``, ``_PORT``, ``_NAME``, ``_USER``, ``_PASSWORD``, ``_SSLMODE``, ``_SSLROOTCERT``.

    Where the server is another machine it must show a certificate for its name (``verify-full``), unless
    ``POSTGRES_SSLMODE`` says otherwise.

    Returns:
        ``None`` where neither host nor name is set.

    Raises:
        ConfigError: one of them cannot be.

    """
    given = {name: env.get(f"POSTGRES_{name}", "").strip() for name in ("HOST", "PORT", "NAME", "USER", "SSLMODE")}
    if not given["HOST"] and not given["NAME"]:
        return None
    if not given["NAME"]:
        raise ConfigError(
            "POSTGRES_HOST is set, and POSTGRES_NAME is not", hint="set POSTGRES_NAME to the database's name"
        )
    host, port = given["HOST"] or "localhost", given["PORT"] or "5432"
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError(f"POSTGRES_PORT={port}: a number from 1 to 65535 is expected", hint="correct POSTGRES_PORT")
    user, password = quote(given["USER"], safe=""), quote(env.get("POSTGRES_PASSWORD", ""), safe="")
    who = f"{user}{f':{password}' if password else ''}@" if user else ""
    tls = _tls(host, given["SSLMODE"], env.get("POSTGRES_SSLROOTCERT", "").strip())
    name = quote(given["NAME"], safe="")
    if host.startswith("/"):
        return of_primary(f"postgresql://{who}/{name}?{urlencode({'host': host, 'port': port} | tls)}")
    shown = ",".join(f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in host.split(","))
    return of_primary(f"postgresql://{who}{shown}/{name}?{urlencode(tls)}")


def is_local(host: str) -> bool:
    """Tell whether a host is this machine, or a folder with a socket."""
    return host.startswith(("/", "127.")) or host.lower() in ("localhost", "::1")


def _tls(host: str, mode: str, root: str) -> dict[str, str]:
    if mode and mode not in _MODES:
        raise ConfigError(f"POSTGRES_SSLMODE={mode}: it must be one of {', '.join(_MODES)}", hint="correct it")
    chosen = mode or ("prefer" if is_local(host) else "verify-full")
    if root:
        return {"sslmode": chosen, "sslrootcert": root}
    return {"sslmode": chosen} | ({"sslrootcert": "system"} if chosen == "verify-full" and _knows_system() else {})


def _knows_system() -> bool:
    from psycopg import pq  # loaded only where it matters

    return pq.version() >= _FIRST_WITH_SYSTEM
