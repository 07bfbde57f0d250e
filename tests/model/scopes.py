"""The scopes that the design is explored in."""

from __future__ import annotations

from tests.model.scope import TRUNCATE, Scope

PUT, CUT = ((0, 1),), ((0, 0),)
BOTH = ((0, 1), (1, 1))

SMALL: dict[str, Scope] = {
    "late": Scope(
        about="insert, delete; late writes, lost replies, a takeover",
        script=(PUT, CUT),
        faults=1,
    ),
}
