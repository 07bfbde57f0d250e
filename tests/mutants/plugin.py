"""A pytest plugin that changes the source text of Syncline on its way into the interpreter: ``-p tests.mutants.plugin``.

Which mutant it is, the environment variable SYNCLINE_MUTANT says; nothing outside of the tests knows it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.resources
import os
import sys
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.mutants.catalogue import Mutant, named

ROOT = Path(__file__).parents[2] / "src"


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles the changed text; no cached bytecode is read or written."""

    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> Any:
        path = Path(self.path)
        text = self._mutant.applied(str(path.relative_to(ROOT)), path.read_text("utf-8"))
        return compile(text, self.path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated modules."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if not name.startswith("syncline.") or f"{name.replace('.', '/')}.py" not in self._mutant.files:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin is None:
            return None
        spec.loader = Loader(name, spec.origin, self._mutant)
        return spec


class Folder:
    """A package's folder whose SQL files are mutated."""

    def __init__(self, package: str, mutant: Mutant) -> None:
        self._real: Traversable = importlib.resources.files(package)
        self._folder = package.replace(".", "/")
        self._mutant = mutant
        self._name = ""

    def joinpath(self, name: str) -> Folder:
        self._name = name
        return self

    def read_text(self, encoding: str) -> str:
        text = self._real.joinpath(self._name).read_text(encoding)
        return self._mutant.applied(f"{self._folder}/{self._name}", text)


def pytest_configure() -> None:
    """Check that the mutant was not too late."""
    for file in MUTANT.files if MUTANT else ():
        name = file.removesuffix(".py").replace("/", ".")
        loader = getattr(sys.modules.get(name), "__loader__", None)
        assert loader is None or isinstance(loader, Loader), f"{name} was imported before it could be changed"


def _begin(mutant: Mutant) -> None:
    sys.meta_path.insert(0, Finder(mutant))
    if any(file.endswith(".sql") for file in mutant.files):
        from syncline.postgres import sql

        sql.files = lambda package: Folder(package, mutant)  # type: ignore[assignment]


MUTANT = named(os.environ["SYNCLINE_MUTANT"]) if os.environ.get("SYNCLINE_MUTANT") else None
if MUTANT:
    _begin(MUTANT)
