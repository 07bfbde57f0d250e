"""One spelling of names in every JSON that we print or serve: camelCase, as in ``GET /api/health/sync``.

Inside, names are Python's; ``camelled`` is applied once, where JSON leaves the process. What is not ours to spell keeps
its names: ``Verbatim`` marks data (rows, documents, settings as the file has them), ``Named`` a mapping whose keys are
names of things (databases, entities) and whose values are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_OURS = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


class Verbatim(dict[str, Any]):
    """Data: nothing in it is renamed."""


class Named(dict[str, Any]):
    """Keys that are names of things."""


def camel(name: str) -> str:
    """Spell a name of ours: ``lag_seconds`` becomes ``lagSeconds``; anything else stays as it is."""
    if not _OURS.fullmatch(name):
        return name
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def camelled(value: Any) -> Any:
    """Spell the names in a value of JSON's types, at every depth."""
    if isinstance(value, Verbatim):
        return value
    if isinstance(value, Named):
        return {name: camelled(item) for name, item in value.items()}
    if isinstance(value, Mapping):
        return {camel(name): camelled(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [camelled(item) for item in value]
    return value
