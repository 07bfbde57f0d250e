"""The admin credential and problem details."""

from __future__ import annotations

import hmac
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI

from syncline.errors import ConfigError, SourceUnavailableError, TargetError
from syncline.web import auth
from syncline.web.auth import AdminCredential, require_admin
from syncline.web.problems import ProblemRoute

SECRET = "correct horse battery staple"


def client(credential: AdminCredential, error: Exception | None = None) -> httpx.AsyncClient:
    router = APIRouter(route_class=ProblemRoute, dependencies=[Depends(require_admin(credential))])

    @router.get("/secret")
    async def secret(limit: int = 1) -> dict[str, int]:
        if error:
            raise error
        return {"limit": limit}

    app = FastAPI()
    app.include_router(router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")


async def ask(credential: AdminCredential, *, path: str = "/secret", error: Any = None, **headers: str) -> Any:
    async with client(credential, error) as http:
        return await http.get(path, headers=headers)


async def test_the_credential_opens() -> None:
    assert (await ask(AdminCredential(SECRET), Authorization=f"Bearer {SECRET}")).json() == {"limit": 1}


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", "Bearer"]
)
async def test_anything_else_is_401_with_a_challenge(header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    answer = await ask(AdminCredential(SECRET), **headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("header", ["Bearer ", "Bearer None", "Bearer anything at all"])
async def test_without_a_credential_every_call_is_refused_and_told_how_to_set_it(
    token: str | None, header: str
) -> None:
    answer = await ask(AdminCredential(token), Authorization=header)
    assert answer.status_code == 403
    assert auth.VARIABLE in answer.json()["hint"]


def test_no_credential_accepts_nothing_not_even_nothing() -> None:
    assert not AdminCredential(None).accepts(None)
    assert not AdminCredential("").accepts("")


def test_a_short_credential_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="fewer than 16"):
        AdminCredential.from_environment({auth.VARIABLE: "short"})


def test_it_is_compared_in_constant_time_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def digest(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr(hmac, "compare_digest", digest)
    credential = AdminCredential(SECRET)
    assert not credential.accepts("é" * 1000)
    assert compared == [(32, 32)]  # whatever the lengths of the two
    assert SECRET not in repr(vars(credential))


async def test_what_waiting_mends_is_503_with_retry_after_and_without_passwords() -> None:
    error = SourceUnavailableError("postgresql://me:hunter2@host/db is away")
    answer = await ask(AdminCredential(SECRET), error=error, Authorization=f"Bearer {SECRET}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "hunter2" not in answer.text
    assert answer.json()["title"] == "Service Unavailable"


async def test_what_waiting_does_not_mend_is_500_and_a_bad_request_422() -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    answer = await ask(AdminCredential(SECRET), error=TargetError("no", hint="do this"), **headers)
    assert (answer.status_code, answer.json()["hint"]) == (500, "do this")
    answer = await ask(AdminCredential(SECRET), path="/secret?limit=many", **headers)
    assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "query.limit")
