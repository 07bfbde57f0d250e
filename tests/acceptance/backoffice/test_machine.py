"""A machine calls every operation with what its own document allows: no error of the server, nothing that it does not declare."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import hypothesis
import pytest_asyncio
import schemathesis
from fastapi import FastAPI
from schemathesis.specs.openapi import checks

from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.acceptance.backoffice.system import ADMIN, Person, System, client, prepared, serving

EXAMPLES = 4
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
_addresses = itertools.count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def playground(
    postgres: PrivatePostgres, second_postgres: PrivatePostgres
) -> AsyncIterator[tuple[System, FastAPI]]:
    """An application whose people and roles the machine may take away."""
    with engines.fresh_database(postgres.url) as primary, engines.fresh_database(second_postgres.url) as data:
        system = System(primary, data)
        await asyncio.to_thread(prepared, system)
        async with serving(system.app()) as app:
            yield system, app


async def test_no_operation_fails_or_answers_what_it_does_not_declare(playground: tuple[System, FastAPI]):
    system, app = playground
    await Person(app, ADMIN).log_in()  # the hash of its password, for all that come
    document = (await client(app).get("/openapi.json")).json()
    answers = Counter[int]()
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        caller = await administrator(system, app)
        loop = asyncio.get_running_loop()

        def send(request: Any, caller: httpx.AsyncClient = caller) -> httpx.Response:
            answer = asyncio.run_coroutine_threadsafe(caller.send(request), loop).result(60)  # noqa: B023  one loop
            answers[answer.status_code // 100] += 1
            return answer

        await asyncio.to_thread(try_operation, result.ok(), caller, send)
    assert min(answers[2], answers[4]) > 50, answers


async def administrator(system: System, app: FastAPI) -> httpx.AsyncClient:
    """Make somebody who may do everything, whatever became of those before."""
    email = f"machine{next(_addresses)}@example.org"
    system.ask(
        "primary",
        "INSERT INTO users (email, name, password_hash, role_id, active)"
        " SELECT %s, 'Machine', h.password_hash, r.id, true FROM roles AS r, (SELECT password_hash FROM users LIMIT 1) AS h WHERE r.admin",
        email,
    )
    person = Person(app, email)
    await person.log_in()
    return person.client


def try_operation(operation: Any, caller: httpx.AsyncClient, send: Callable[[Any], httpx.Response]) -> None:
    """Call an operation with what its schema allows, always the same."""

    @hypothesis.seed(20261130)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def tried(case: Any) -> None:
        ours = {"Authorization": caller.headers["Authorization"]}  # else it makes one up
        given = case.as_transport_kwargs(base_url="http://app", headers=ours)
        given.pop("cookies", None)
        body = given.pop("data", None)
        given["content" if isinstance(body, bytes | str) else "data"] = body
        with contextlib.suppress(httpx.InvalidURL, httpx.LocalProtocolError):
            case.validate_response(send(caller.build_request(**given)), checks=CHECKS)

    tried()
