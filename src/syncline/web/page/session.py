"""Who is logged in: a signed cookie that ends soon; the credential itself is never in it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

IDLE = timedelta(hours=1)
LONGEST = timedelta(hours=12)
_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has shown the credential."""

    id: str
    began: int
    """Seconds since 1970."""
    ends: int


class Sessions:
    """Begins, checks and ends sessions; remembers only those that were ended early.

    Args:
        key: signs the cookies. Processes that share it accept each other's sessions.
        idle: a session that is not used for so long is over.
        longest: so is one that began so long ago.
        clock: seconds since 1970; for tests.

    """

    def __init__(
        self,
        key: bytes,
        *,
        idle: timedelta = IDLE,
        longest: timedelta = LONGEST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._idle, self._longest = int(idle.total_seconds()), int(longest.total_seconds())
        self._clock = clock
        self._ended: dict[str, int] = {}

    def begin(self) -> Session:
        """Let somebody in who has shown the credential."""
        now = int(self._clock())
        return Session(secrets.token_urlsafe(16), now, now + min(self._idle, self._longest))

    def renewed(self, session: Session) -> Session:
        """Give it more time, for it is in use."""
        ends = min(int(self._clock()) + self._idle, session.began + self._longest)
        return Session(session.id, session.began, max(ends, session.ends))

    def end(self, session: Session) -> None:
        """Accept none of its cookies any more."""
        now = self._clock()
        self._ended = {known: until for known, until in self._ended.items() if until > now}
        self._ended[session.id] = session.began + self._longest

    def cookie(self, session: Session) -> str:
        """Write it as the value of a cookie."""
        text = f"{_VERSION}.{session.id}.{session.began}.{session.ends}"
        return f"{text}.{self._sign('session', text)}"

    def read(self, cookie: str | None) -> Session | None:
        """Read a cookie; ``None``: it is not ours, or over."""
        text, _, signature = (cookie or "").rpartition(".")
        if not hmac.compare_digest(self._sign("session", text).encode(), signature.encode("utf-8", "surrogatepass")):
            return None
        _, id_, began, ends = text.split(".")
        session = Session(id_, int(began), int(ends))
        return session if session.ends > self._clock() and id_ not in self._ended else None

    def form_token(self, session: Session) -> str:
        """Give what a form of this session must send along, so that another site's form is refused."""
        return self._sign("form", session.id)

    def accepts(self, session: Session, form_token: str | None) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(
            self.form_token(session).encode(), (form_token or "").encode("utf-8", "surrogatepass")
        )

    def _sign(self, purpose: str, text: str) -> str:
        message = f"{purpose}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
