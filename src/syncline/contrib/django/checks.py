"""System checks: what would fail at the first query, or after the split, said by ``manage.py check``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  Django's name

from syncline.contrib.django.database_settings import alias_of
from syncline.contrib.django.router import Router, configured
from syncline.errors import ConfigError, RoutingError

ROUTER = "syncline.contrib.django.Router"


def check_databases(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001  Django's signature
    """Check the settings, each model's database, and relations across databases."""
    try:
        databases = configured()
    except ConfigError as error:
        return [Error(error.message, hint=error.hint, id="syncline.E001")]
    found: list[CheckMessage] = []
    if not any(one == ROUTER or isinstance(one, Router) for one in settings.DATABASE_ROUTERS):
        found.append(Error(f"{ROUTER} is not in DATABASE_ROUTERS", hint="add it", id="syncline.E002"))
    missing = [each.name for each in databases if alias_of(databases, each.name) not in settings.DATABASES]
    if missing:
        hint = "DATABASES = database_settings(SYNCLINE_DATABASES)"
        found.append(Error(f"DATABASES has no alias for {', '.join(missing)}", hint=hint, id="syncline.E003"))
    return [*found, *_models(Router(databases))]


def _models(router: Router) -> Iterator[CheckMessage]:
    for model in apps.get_models(include_auto_created=True):
        try:
            owner = router.owner(model)
        except RoutingError as error:
            yield Error(error.message, hint=error.hint, obj=model, id="syncline.E004")
            continue
        for field in model._meta.get_fields():  # noqa: SLF001  documented by Django
            if field.is_relation and field.concrete and isinstance(field.related_model, type):
                yield from _relation(router, owner, field)


def _relation(router: Router, owner: str, field: Any) -> Iterator[CheckMessage]:
    try:
        other = router.owner(field.related_model)
    except RoutingError:
        return  # said of that model itself
    if other != owner:
        level = Error if router.databases.split else Warning
        related = field.related_model._meta.label  # noqa: SLF001  documented by Django
        yield level(
            f"a relation over two databases: from {owner} to {related} in {other}",
            hint="keep the other one's key in a plain field, and look it up",
            obj=field,
            id="syncline.E005" if router.databases.split else "syncline.W005",
        )
