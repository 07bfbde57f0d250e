"""One pair of servers for all, and an application a phase, each with databases of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.acceptance.taskboard.system import ADMIN, PASSWORD, PHASES, Person, Taskboard, set_up, variables

Scenario = Callable[[Taskboard, Person], Any]


@pytest.fixture(scope="session")
def phases(postgres: PrivatePostgres, mongo: PrivateMongo) -> Iterator[list[Taskboard]]:
    """The application in each phase, with its tables and an administrator."""
    from django.conf import settings

    with contextlib.ExitStack() as stack:
        made = []
        for phase in PHASES:
            name = stack.enter_context(engines.fresh_mongo_database(mongo.url))
            mongodb = urlsplit(mongo.url)._replace(path=f"/{name}").geturl()
            env = variables(stack.enter_context(engines.fresh_database(postgres.url)), mongodb)
            set_up(env)
            app = Taskboard(env, phase)
            with app.serving():
                app.migrated()
                from taskboard.management.commands.seed import seed
                from taskboard.services import served

                seed(served().repositories, ADMIN, PASSWORD)
            stack.enter_context(app.carried())
            app.wrote()
            made.append(app)
        assert settings.configured
        yield made


@pytest.fixture
def alike(phases: list[Taskboard]) -> Callable[[Scenario], None]:
    """Play a scenario in every phase: the answers are the same, ids and times aside."""

    def play(scenario: Scenario) -> None:
        said = {}
        for app in phases:
            app.said.clear()
            with app.serving():
                scenario(app, Person(app, ADMIN).log_in())
            said[app.phase] = [*app.said]
        first = said[PHASES[0]]
        for phase, others in said.items():
            assert others == first, phase

    return play
