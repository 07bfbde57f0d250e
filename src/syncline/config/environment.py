"""The environment wins over the file: ``SYNCLINE_WORKER__BATCH_SIZE`` sets ``batch_size`` in ``[worker]``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from syncline.config.urls import is_postgresql

Path = tuple[str | int, ...]

PREFIX = "SYNCLINE_"
URLS = {"source": "DATABASE_URL", "target": "MONGODB_URL"}
DIRECT = "SYNCLINE_DIRECT_URL"
"""Where Syncline itself finds the source, when ``DATABASE_URL`` leads through a pooler."""


def overlay(data: dict[str, Any], env: Mapping[str, str]) -> dict[Path, str]:
    """Put the environment's values into ``data``; return which variable set which path.

    The short names of the two URLs win over a URL written out in the file, not over one that names variables itself
    (``${…}``), and not over the long name.
    """
    origin: dict[Path, str] = {}
    for section, variable in URLS.items():
        value = env.get(variable)
        table = data.setdefault(section, {})
        written = str(table.get("url", "")) if isinstance(table, dict) else ""
        if section == "target" and is_postgresql(written):
            continue  # the variable is a MongoDB's
        if value and isinstance(table, dict) and "${" not in written:
            table["url"] = value
            origin[section, "url"] = variable
    if env.get(DIRECT) and isinstance(data["source"], dict):
        data["source"]["direct_url"] = env[DIRECT]
        origin["source", "direct_url"] = DIRECT
    for variable in sorted(env):
        if variable.startswith(PREFIX) and "__" in variable[len(PREFIX) :]:
            path = _set(data, variable[len(PREFIX) :].split("__"), _value(env[variable]))
            origin[path] = variable
    return origin


def expand(text: str, env: Mapping[str, str]) -> tuple[str, str | None]:
    """Replace each ``${VAR}``; return the text and the name of the first variable that is not set."""
    missing = next((name for name in re.findall(r"\$\{(\w+)\}", text) if name not in env), None)
    return re.sub(r"\$\{(\w+)\}", lambda match: env.get(match[1], ""), text), missing


def _set(data: dict[str, Any], names: list[str], value: object) -> Path:
    table: dict[str, Any] = data
    path: list[str] = []
    for position, name in enumerate(names):
        key = next((k for k in table if k.lower() == name.lower()), name.lower())
        path.append(key)
        if position == len(names) - 1:
            table[key] = value
        elif isinstance(table.get(key), dict):
            table = table[key]
        else:
            table[key] = table = {}
    return tuple(path)


def _value(text: str) -> object:
    """Take lists and tables as TOML; the rest as it stands."""
    if text.startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text
