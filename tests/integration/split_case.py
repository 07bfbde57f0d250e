"""Two databases, models of both, and the same declared in single and in split mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from syncline.split.databases import Databases


class PrimaryBase(DeclarativeBase):
    pass


class DataBase(DeclarativeBase):
    pass


class User(PrimaryBase):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Carrier(DataBase):
    __tablename__ = "carriers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    zones: Mapped[list[Zone]] = relationship(back_populates="carrier")


class Zone(DataBase):
    __tablename__ = "zones"
    id: Mapped[int] = mapped_column(primary_key=True)
    carrier_id: Mapped[int] = mapped_column(ForeignKey("carriers.id"))
    carrier: Mapped[Carrier] = relationship(back_populates="zones")


PRIMARY_SQL = "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL)"
DATA_SQL = """
CREATE TABLE carriers (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE zones (id serial PRIMARY KEY, carrier_id int NOT NULL REFERENCES carriers)
"""
NAMES = {"users": "primary", "carriers": "data", "zones": "data"}


def create(primary: str, data: str) -> None:
    """Make the tables, each where it belongs; in single mode both are one database."""
    for url, sql in ((primary, PRIMARY_SQL), (data, DATA_SQL)):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql)


def variables(primary: str, data: str | None) -> dict[str, str]:
    """Give the environment of split mode, or of single mode where there is no second database."""
    if data is None:
        return {"DATABASE_URL": primary}
    return {"SPLIT_DB_MODE": "true", "PRIMARY_DATABASE_URL": primary, "DATA_DATABASE_URL": data}


@contextlib.contextmanager
def declared(env: dict[str, str]) -> Iterator[Databases]:
    """Open the databases of an environment, with the models declared."""
    with Databases.from_environment(None, env, dotenv=None) as databases:
        databases.declare("primary", PrimaryBase)
        databases.declare("data", DataBase)
        yield databases
