"""Sessions of one's own: past any pooler, for Syncline and for PostgreSQL's programs."""

from __future__ import annotations

from typing import Any

from syncline.ending import run
from syncline.errors import NamedDatabaseError
from syncline.split.address import Address


def see_that_it_is_ones_own(name: str, address: Address) -> None:
    """See that an address leads to no session that others are lent, too.

    Raises:
        NamedDatabaseError: there is a pooler that the URL does not tell of, or no connection.

    """
    from syncline.postgres.lent import Pooling
    from syncline.split.doctor import mode

    if run(mode(address)) in (Pooling.TRANSACTION, Pooling.STATEMENT):
        raise NamedDatabaseError(
            f"{name}: {address.called} leads through a pooler, and this needs a session of its own",
            hint=f"give {address.called} the server's own address, or pgbouncer=true and a direct URL beside it",
        )


def for_programs(address: Address) -> tuple[str, dict[str, str]]:
    """Give the connection string without the password, and the environment that has it."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    given: dict[str, Any] = {**conninfo_to_dict(address.conninfo), **address.arguments()}
    given.pop("prepare_threshold", None)
    given.pop("sslpassword", None)  # no variable takes it: the program asks
    secrets = {}
    if password := given.pop("password", None):
        secrets["PGPASSWORD"] = str(password)
    return make_conninfo("", **given), secrets
