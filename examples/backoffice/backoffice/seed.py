"""First data: ``python -m backoffice.seed --admin ann@example.org`` makes an administrator; once is enough.

The password is read from ``BACKOFFICE_ADMIN_PASSWORD``. Running it again changes nothing that is there.
"""

from __future__ import annotations

import argparse
import asyncio
import os

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.models.people import Role, User
from backoffice.permissions import Permission
from backoffice.services import Services
from backoffice.settings import Settings, SettingsError
from syncline.errors import SynclineError

PASSWORD = "BACKOFFICE_ADMIN_PASSWORD"  # noqa: S105  a variable's name
ADMINISTRATOR = "administrator"
ROLES = {
    "support": [one for one in Permission if one.endswith(".read") and one != Permission.AUDIT_READ],
    "operations": [one for one in Permission if one not in (Permission.AUDIT_READ, Permission.USERS_READ)],
}


async def seed_people(session: AsyncSession, services: Services, email: str, password: str) -> None:
    """Make the roles and the first administrator."""
    await session.execute(insert(Role).values(name=ADMINISTRATOR, permissions=[], admin=True).on_conflict_do_nothing())
    for name, permissions in ROLES.items():
        await session.execute(insert(Role).values(name=name, permissions=permissions).on_conflict_do_nothing())
    role_id = await session.scalar(select(Role.id).where(Role.name == ADMINISTRATOR))
    hashed = await services.passwords.hash(password)
    new = insert(User).values(email=email.lower(), name="Administrator", password_hash=hashed, role_id=role_id)
    await session.execute(new.on_conflict_do_nothing())
    await session.commit()


async def seed(services: Services, email: str, password: str) -> None:
    """Fill what is empty."""
    async with services.sessions() as session:
        await seed_people(session, services, email, password)


def main() -> None:
    """Read the arguments, fill both databases."""
    parser = argparse.ArgumentParser(prog="backoffice.seed", description="Make the roles and an administrator.")
    parser.add_argument("--admin", required=True, metavar="EMAIL")
    arguments = parser.parse_args()
    password = os.environ.get(PASSWORD, "")
    if len(password) < 10:
        raise SettingsError(f"set {PASSWORD} to at least 10 characters")

    async def run() -> None:
        services = Services.make(Settings.from_environment())
        async with services.databases:
            await seed(services, arguments.admin, password)

    try:
        asyncio.run(run())
    except SynclineError as error:
        raise SettingsError(str(error)) from None


if __name__ == "__main__":
    main()
