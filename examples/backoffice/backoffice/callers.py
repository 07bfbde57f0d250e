"""Who calls, as it is kept in the session cache: everything that a request must know of its caller."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from backoffice.permissions import Permission


@dataclass(frozen=True, slots=True)
class Caller:
    """A validated session, and what its user may do."""

    session_id: int
    user_id: int
    email: str
    name: str
    role_id: int
    role: str
    admin: bool
    permissions: frozenset[str]
    expires_at: dt.datetime

    def may(self, permission: Permission) -> bool:
        """Tell whether this is allowed."""
        return self.admin or permission in self.permissions

    def names(self) -> Iterable[str]:
        """Name what revokes it: the triggers on ``sessions``, ``users`` and ``roles`` say these."""
        return (f"session:{self.session_id}", f"user:{self.user_id}", f"role:{self.role_id}")
