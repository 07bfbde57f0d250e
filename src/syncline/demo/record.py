"""A picture of a run, for the README."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.terminal_theme import MONOKAI
from rich.text import Text

from syncline.errors import SynclineError

WIDTH = 100
HEIGHT = 34
_FONT_FACE = re.compile(r"\s*@font-face \{\{.*?\}\}", re.DOTALL)


def save(file: Path, shown: RenderableType, lines: Sequence[tuple[str, str]], *, title: str = "make demo") -> None:
    """Write the view and the lines below it as an SVG that asks no other host for anything.

    Args:
        file: where to.
        shown: the view.
        lines: texts below it, each with its style.
        title: what stands above it.

    Raises:
        SynclineError: the file cannot be written.

    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(shown)
    for text, style in lines:
        console.print(Text(text, style))
    template = _FONT_FACE.sub("", CONSOLE_SVG_FORMAT).replace(
        "font-family: Fira Code,", "font-family: Menlo, Consolas,"
    )
    try:
        console.save_svg(str(file), title=title, theme=MONOKAI, code_format=template, unique_id="syncline-demo")
    except OSError as error:
        raise SynclineError(f"{file}: {error.strerror}", hint="choose another place with --record") from None
