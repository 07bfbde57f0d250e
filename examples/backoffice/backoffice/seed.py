"""First data: ``python -m backoffice.seed --admin ann@example.org [--sample]`` makes an administrator; once is enough.

The password is read from ``BACKOFFICE_ADMIN_PASSWORD``. Running it again changes nothing that is there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.models.customers import Facility, Organization
from backoffice.models.delivery import Carrier, Rate
from backoffice.models.people import Role, User
from backoffice.permissions import Permission
from backoffice.services import Services
from backoffice.settings import Settings, SettingsError
from syncline.errors import SynclineError

PASSWORD = "BACKOFFICE_ADMIN_PASSWORD"  # noqa: S105  a variable's name
ADMINISTRATOR = "administrator"
CARRIERS = {"DHL": "DHL Parcel", "UPS": "UPS Standard"}
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


async def seed_delivery(session: AsyncSession) -> None:
    """Make two carriers, and what they take."""
    for code, name in CARRIERS.items():
        await session.execute(insert(Carrier).values(code=code, name=name).on_conflict_do_nothing())
    ids = (await session.scalars(select(Carrier.id).where(Carrier.code.in_(CARRIERS)).order_by(Carrier.code))).all()
    cells = [
        {"carrier_id": id_, "zone": zone, "to_grams": grams, "price": Decimal(grams) / 500 + far + 3, "days": 1 + far}
        for id_ in ids
        for far, zone in enumerate(("EU-1", "EU-2", "WORLD"))
        for grams in (1000, 5000, 20_000)
    ]
    await session.execute(insert(Rate).values(cells).on_conflict_do_nothing())
    await session.commit()


async def seed_customers(session: AsyncSession) -> None:
    """Make a customer with a place."""
    new = insert(Organization).values(name="Hansa Trading", country="DE").on_conflict_do_nothing()
    id_ = await session.scalar(new.returning(Organization.id))
    if id_ is not None:
        place = Facility(organization_id=id_, name="Main warehouse", kind="warehouse", zone="EU-1", address="Hamburg")
        session.add(place)
    await session.commit()


async def seed(services: Services, email: str, password: str, *, sample: bool = False) -> None:
    """Fill what is empty: PRIMARY first, then DATA, a transaction each."""
    async with services.sessions() as session:
        await seed_people(session, services, email, password)
        if sample:
            await seed_customers(session)
            await seed_delivery(session)


def main() -> None:
    """Read the arguments, fill both databases."""
    parser = argparse.ArgumentParser(prog="backoffice.seed", description="Make the roles and an administrator.")
    parser.add_argument("--admin", required=True, metavar="EMAIL")
    parser.add_argument("--sample", action="store_true", help="carriers, prices and a customer, to try it out")
    arguments = parser.parse_args()
    password = os.environ.get(PASSWORD, "")
    if len(password) < 10:
        raise SettingsError(f"set {PASSWORD} to at least 10 characters")

    async def run() -> None:
        services = Services.make(Settings.from_environment())
        async with services.databases:
            await seed(services, arguments.admin, password, sample=arguments.sample)

    try:
        asyncio.run(run())
    except SynclineError as error:
        raise SettingsError(str(error)) from None


if __name__ == "__main__":
    main()
