"""The admin credential: one shared secret for those who operate the application."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping

from fastapi import Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from syncline.errors import ConfigError
from syncline.web.problems import Problem

VARIABLE = "SYNCLINE_ADMIN_TOKEN"
SHORTEST = 16
"""Characters: whoever can reach the routes may guess as often as they like."""

_MAKE = "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class AdminCredential:
    """The secret, or that there is none; then every admin call is refused.

        credential = AdminCredential.from_environment()
        credential.accepts(presented)

    It keeps a digest only, so that it cannot be printed, and compares in a time that tells nothing.
    """

    def __init__(self, token: str | None) -> None:
        """Take the secret; ``None`` and the empty text are no secret.

        Raises:
            ConfigError: it is too short to keep anybody out.

        """
        if token and len(token) < SHORTEST:
            raise ConfigError(f"the admin credential has fewer than {SHORTEST} characters", hint=_MAKE)
        self._digest = _digest(token) if token else None

    @classmethod
    def from_environment(cls, env: Mapping[str, str] = os.environ) -> AdminCredential:
        """Take it from ``SYNCLINE_ADMIN_TOKEN``."""
        return cls(env.get(VARIABLE))

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return self._digest is not None

    def accepts(self, presented: str | None) -> bool:
        """Compare in constant time; nothing is accepted while no credential is set."""
        given = _digest(presented or "")
        return self._digest is not None and hmac.compare_digest(given, self._digest)

    def key(self, purpose: str) -> bytes:
        """Derive a key for signing: the same in every process with this credential; random while there is none."""
        return hmac.new(self._digest or secrets.token_bytes(32), purpose.encode(), hashlib.sha256).digest()

    def require(self, presented: str | None) -> None:
        """Let the caller pass.

        Raises:
            Problem: 403 while no credential is set, 401 when this is not it.

        """
        if not self.is_set:
            raise Problem(
                403, "admin calls are off: no admin credential is set", hint=f"set {VARIABLE} and restart; {_MAKE}"
            )
        if not self.accepts(presented):
            raise Problem(
                401,
                "this needs the admin credential",
                hint="send the header Authorization: Bearer <credential>",
                headers={"WWW-Authenticate": 'Bearer realm="syncline"'},
            )


def require_admin(credential: AdminCredential) -> Callable[..., Awaitable[None]]:
    """Make the dependency that guards a route: ``dependencies=[Depends(require_admin(credential))]``."""
    bearer = HTTPBearer(
        auto_error=False, scheme_name="SynclineAdmin", description=f"the value of {VARIABLE} of the server"
    )

    async def admin(presented: HTTPAuthorizationCredentials | None = Security(bearer)) -> None:  # noqa: B008
        credential.require(presented.credentials if presented else None)

    return admin


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
