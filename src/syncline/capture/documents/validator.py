"""The validator by which MongoDB itself keeps out writes that do not say the number of a collection's gate.

It admits documents whose ``_sync.c`` is exactly one number, beside what a validator of the user's own admits, which is
kept within it, with its level and its action, and put back when ours goes. Deletes are not validated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import Int64
from pymongo.errors import BulkWriteError, OperationFailure

from syncline.capture.documents.field import NUMBER

INVALID = 121
_KEPT = "_sync.kept"
"""No document has this field: what is compared with it holds always, and says what is to be put back."""
_STRICT, _ERROR = "strict", "error"
_REFUSING = frozenset({_ERROR, "errorAndLog"})


@dataclass(frozen=True, slots=True)
class Validator:
    """What a collection's options say of its validator: the user's, and the number that ours admits, if it is there."""

    rule: Mapping[str, Any]
    level: str = _STRICT
    action: str = _ERROR
    number: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Give the options that say it, for ``create`` and ``collMod``."""
        if self.number is None:
            return {"validator": dict(self.rule), "validationLevel": self.level, "validationAction": self.action}
        kept = {_KEPT: {"$ne": f"{self.level}/{self.action}"}}
        parts: list[Mapping[str, Any]] = [{NUMBER: {"$eq": Int64(self.number)}}, kept]
        if self.rule:
            # One that only warns, or passes over documents that are invalid already, refuses nothing more here.
            parts.append(self.rule if _refuses(self.level, self.action) else {"$or": [kept, self.rule]})
        return {"validator": {"$and": parts}, "validationLevel": _STRICT, "validationAction": _ERROR}


def validator_in(options: Mapping[str, Any]) -> Validator:
    """Read the options of a collection."""
    rule = options.get("validator") or {}
    parts: Any = rule.get("$and")
    if not (isinstance(parts, list) and len(parts) > 1 and [*parts[0]] == [NUMBER] and [*parts[1]] == [_KEPT]):
        return Validator(rule, options.get("validationLevel", _STRICT), options.get("validationAction", _ERROR))
    level, _, action = parts[1][_KEPT]["$ne"].partition("/")
    users = parts[2] if len(parts) > 2 else {}
    if users.get("$or", [None])[0] == parts[1]:
        users = users["$or"][1]
    return Validator(users, level, action, int(parts[0][NUMBER]["$eq"]))


def _refuses(level: str, action: str) -> bool:
    return level == _STRICT and action in _REFUSING


def is_of_gate(error: BaseException | None) -> bool:
    """Tell whether it was the number that a write was refused for: nothing of that document is written.

    Other rules of the same validator are the user's. The server says which ones a document does not fulfil.
    """
    while error is not None:
        if isinstance(error, BulkWriteError):
            return any(is_refusal_of_gate(one) for one in error.details.get("writeErrors", ()))
        if isinstance(error, OperationFailure):
            return is_refusal_of_gate({"code": error.code, **(error.details or {})})
        error = error.__cause__
    return False


def is_refusal_of_gate(said: Mapping[str, Any]) -> bool:
    """Tell the same of what a server says of one write."""
    return said.get("code") == INVALID and _names(said.get("errInfo"))


def _names(said: Any) -> bool:
    if isinstance(said, Mapping):
        return NUMBER in said or any(map(_names, said.values()))
    return isinstance(said, list) and any(map(_names, said))
