"""Every error that users may see stands in one file."""

from __future__ import annotations

import ast
from pathlib import Path

from syncline import errors

SOURCE = Path(errors.__file__).parent


def test_every_error_is_in_one_file() -> None:
    """Signals within a package (``class StoppedError(Exception)``) are none: nobody outside of it sees them."""
    elsewhere = {
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in SOURCE.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and any(hasattr(errors, ast.unparse(base)) for base in node.bases)
        if node.name.endswith("Error")
    }
    assert elsewhere == set()
