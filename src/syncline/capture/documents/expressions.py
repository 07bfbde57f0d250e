"""Users' expressions in pipelines and projections: ``$$ROOT`` shows them their document, without our field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncline.capture.documents.field import FIELD, is_ours, refuse_ours
from syncline.errors import UnmarkableError

_WHOLE = ("$$ROOT", "$$CURRENT")


def without_ours(expression: Any) -> Any:
    """Put the document without our field in the place of the whole document.

    Raises:
        UnmarkableError: the expression asks for our field, or gives ``CURRENT`` another meaning.

    """
    if isinstance(expression, str):
        return _text(expression)
    if isinstance(expression, Mapping):
        if "$literal" in expression:
            return expression
        _refuse_get(expression.get("$getField"))
        if "CURRENT" in (expression.get("vars") or () if isinstance(expression.get("vars"), Mapping) else ()):
            raise UnmarkableError("a $let of CURRENT cannot be followed", hint="name the variable otherwise")
        return {name: without_ours(value) for name, value in expression.items()}
    if isinstance(expression, list | tuple):
        return [without_ours(each) for each in expression]
    return expression


def _refuse_get(asked: Any) -> None:
    field = asked.get("field") if isinstance(asked, Mapping) else asked
    named = field.get("$literal") if isinstance(field, Mapping) else field
    if named == FIELD:
        refuse_ours(named)


def _text(text: str) -> Any:
    if text in _WHOLE:
        return {"$unsetField": {"field": FIELD, "input": text}}
    path = text.removeprefix("$")
    for whole in _WHOLE:
        path = path.removeprefix(f"{whole[1:]}.")
    if text.startswith("$") and is_ours(path):
        raise UnmarkableError(f"{text} is Syncline's field", hint="give your own field another name")
    return text
