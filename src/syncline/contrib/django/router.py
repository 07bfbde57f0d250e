"""Django's router: each model's reads, writes and migrations go to the database whose table it is."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections

from syncline.contrib.django.database_settings import DEFAULT, alias_of
from syncline.contrib.django.staying import begun, stays
from syncline.errors import AcrossDatabasesError, ConfigError
from syncline.split.databases import Databases
from syncline.split.names import Name
from syncline.split.routing import unknown


def configured() -> Databases:
    """Give the project's databases.

    Raises:
        ConfigError: the settings have none.

    """
    found = getattr(settings, "SYNCLINE_DATABASES", None)
    if not isinstance(found, Databases):
        raise ConfigError("SYNCLINE_DATABASES is not set", hint="SYNCLINE_DATABASES = Databases.from_environment()")
    return found


class Router:
    """For ``DATABASE_ROUTERS``."""

    def __init__(self, databases: Databases | None = None) -> None:
        self._databases = databases

    @property
    def databases(self) -> Databases:
        """The project's databases."""
        return self._databases or configured()

    def owner(self, model: Any) -> str:
        """Say in which database a model's table is.

        Raises:
            UnknownTableError: no rule names it.

        """
        ownership = self.databases.routing.ownership
        if (found := ownership.owner(table_of(model))) is not None:
            return found
        if model._meta.auto_created:  # noqa: SLF001  a many-to-many table goes with the model that has the field
            return self.owner(model._meta.auto_created)  # noqa: SLF001
        raise unknown(table_of(model), ownership.names)

    def alias(self, model: Any) -> str:
        """Say by which alias a model is reached: while its table moves the side that serves, or did at first."""
        if not self.databases.split:
            return DEFAULT
        name = self.owner(model)
        serving = alias_of(self.databases, self.databases.serving(name))
        if not self.databases.moves():
            return serving
        if (stayed := stays(name, [alias_of(self.databases, each.name) for each in self.databases])) is not None:
            return stayed
        begun(connections[serving]).add(name)
        return serving

    def home(self, model: Any) -> str:
        """Say by which alias the database is reached in which a model's table is made."""
        return alias_of(self.databases, self.owner(model)) if self.databases.split else DEFAULT

    def db_for_read(self, model: Any, **_: Any) -> str:
        """Route a query."""
        return self.alias(model)

    def db_for_write(self, model: Any, **_: Any) -> str:
        """Route a write."""
        return self.alias(model)

    def allow_relation(self, first: Any, second: Any, **_: Any) -> bool:
        """Refuse a relation across databases.

        Raises:
            AcrossDatabasesError: it names both.

        """
        one, other = self.owner(type(first)), self.owner(type(second))
        if one != other:
            labels = first._meta.label, second._meta.label  # noqa: SLF001  documented by Django
            self.databases.routing.refuse(
                AcrossDatabasesError(
                    f"a relation over two databases: {labels[0]} is in {one}, {labels[1]} in {other}",
                    hint="keep the other one's key in a plain field, and look it up",
                ),
                "",
            )
        return True

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:  # noqa: ARG002  Django's signature
        """Make a model's table in its own database only; what names no model runs where the app's models are."""
        if "database" in hints:
            return db == (alias_of(self.databases, hints["database"]) if self.databases.split else DEFAULT)
        if "model" in hints:
            return db == self.home(hints["model"])
        aliases = self._aliases_of(app_label)
        return db in aliases if len(aliases) == 1 else None

    def _aliases_of(self, app_label: str) -> set[str]:
        from django.apps import apps

        try:
            return {self.home(model) for model in apps.get_app_config(app_label).get_models()}
        except LookupError:
            return set()


def table_of(model: Any) -> Name:
    """Read the name of a model's table; a schema is written into it as ``schema"."table``."""
    name = model._meta.db_table  # noqa: SLF001  documented by Django
    schema, dotted, table = name.strip('"').partition('"."')
    return Name(schema, table) if dotted else Name(None, schema)
