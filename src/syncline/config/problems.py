"""What is wrong with the configuration, said with its place and with what to do."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from syncline.config import lines
from syncline.config.secrets import redact
from syncline.errors import ConfigError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the values came from: a file's text, and variables that won over it."""

    file: str
    text: str
    variables: Mapping[Path, str] = field(default_factory=dict)

    def place(self, path: Sequence[str | int]) -> str:
        """Name the line, or the variable, that sets ``path``."""
        for end in range(len(path), 0, -1):
            if variable := self.variables.get(tuple(path[:end])):
                return f"environment variable {variable}"
        inside = [variable for set_, variable in self.variables.items() if set_[: len(path)] == tuple(path)]
        if inside and not re.search(rf"\b{re.escape(str(path[-1]))}\b", self.text):
            return f"environment variable {inside[0]}"  # a whole section that no line of the file begins
        return f"{self.file}:{lines.find(self.text, path)}" if self.text else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    path: Path
    what: str
    todo: str | None = None


def error(problems: Iterable[Problem], origin: Origin) -> ConfigError:
    """Make one error of all problems, a line each."""
    found = [(f"{origin.place(p.path)}: {redact(p.what)}", p.todo) for p in problems]
    if len(found) == 1:
        return ConfigError(found[0][0], hint=found[0][1])
    return ConfigError("\n".join(f"{what} ({todo})" if todo else what for what, todo in found))


def explain(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    """Turn one of pydantic's findings into ours."""
    path = detail["loc"]
    name = ".".join(str(part) for part in path[-1:])
    if detail["type"] == "extra_forbidden":
        known = _names_at(model, path[:-1])
        return Problem(path, f"unknown setting {name!r} in {_table(path[:-1])}", suggest(name, known, "it has"))
    if detail["type"] == "missing":
        return Problem(
            path, f"{name!r} is missing in {_table(path[:-1])}", "add it; see docs/reference/configuration.md"
        )
    given = shown(detail["input"])
    if detail["type"] == "literal_error":
        expected = str(detail["ctx"]["expected"])
        return Problem(path, f"{name} = {given}: it must be {expected}", suggest(given, expected.split("'")[1::2]))
    if detail["type"] == "value_error":
        setting = "" if isinstance(detail["input"], dict) else f"{name} = {given}: "
        return Problem(path, f"{setting}{detail['ctx']['error']}")
    if detail["type"] in ("dict_type", "model_type", "model_attributes_type", "dataclass_type"):
        return Problem(
            path, f"{name} = {given}: it must be a table of settings", f"{_table(path)}, or {name} = {{ … }}"
        )
    wanted = detail["msg"].replace("Input should be", "it must be").replace("Field required", "it is missing")
    return Problem(path, f"{name} = {given}: {wanted[0].lower()}{wanted[1:]}")


def suggest(word: str, known: Sequence[str], otherwise: str | None = None) -> str | None:
    """Say what was probably meant; else list what there is."""
    if close := get_close_matches(word.strip("'\"").lower(), known, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    return f"{otherwise} {', '.join(known)}" if otherwise and known else None


def shown(value: object) -> str:
    """Show an offending value, short and without its secrets."""
    text = redact(repr(value))
    return text if len(text) <= 80 else f"{text[:77]}…"


def _table(path: Path) -> str:
    names = [str(part) for part in path if isinstance(part, str)]
    return f"[{'.'.join(names)}]" if names else "the file"


def _names_at(model: type[BaseModel], path: Path) -> list[str]:
    """List the settings that exist at ``path``."""
    current: type[BaseModel] | None = model
    annotation: object = model
    for part in path:
        if current is not None and part in (known := _fields(current)):
            annotation = known[str(part)]
            current = _model_in(annotation) if _is_direct(annotation) else None
        else:
            current = _model_in(annotation)
    return list(_fields(current)) if current is not None else []


def _fields(model: type[BaseModel]) -> dict[str, object]:
    return {str(info.validation_alias or name): info.annotation for name, info in model.model_fields.items()}


def _is_direct(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in typing.get_args(annotation) if (m := _model_in(part))), None)
