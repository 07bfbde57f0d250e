"""Views and functions under the switch of a split: the whole transaction runs again on the side that serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import connections, transaction

from syncline.contrib.django.database_settings import DEFAULT, alias_of
from syncline.contrib.django.router import configured
from syncline.contrib.django.staying import begin
from syncline.split.switching.running import DEADLINE


def atomic_again(
    database: str, *, deadline: timedelta = DEADLINE
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a view or function in a transaction of a database, and again where its tables are changing sides.

    @atomic_again("data")
    def create(request): ...

    It may be called several times, and must be the outermost transaction: with ``ATOMIC_REQUESTS`` take
    ``transaction.non_atomic_requests`` for the view. Other errors, and a commit of unknown outcome, are not run again.

    Raises (when called):
        GateClosedError: no side has accepted it in time; nothing is written.
        UnknownOutcomeError: the connection was lost while committing.
        RuntimeError: it is called within another transaction.

    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def again(*arguments: Any, **named: Any) -> Any:
            databases = configured()

            @contextmanager
            def begun() -> Iterator[None]:
                alias = alias_of(databases, databases.serving(database)) if databases.split else DEFAULT
                with transaction.atomic(using=alias, durable=True):
                    begin(connections[alias], database)
                    yield

            return databases.run(lambda _: function(*arguments, **named), begun, deadline=deadline)

        return again

    return decorate
