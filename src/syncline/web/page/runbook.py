"""The runbook as a page: what an alert on the operations page links to. Its text is that of the documentation."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files
from pathlib import Path

OTHER_ALERTS = "opennotice"
"""The place for alerts that have none of their own: open notices."""
_CHECKOUT = Path(__file__).parents[4] / "docs" / "how-to" / "runbook.md"
"""Where it stands before the package is built, which takes it along."""


def runbook() -> str:
    """Render it; headings are anchors in lower case, as the documentation's."""
    packaged = files("syncline.web.page").joinpath("runbook.md")
    text = (packaged if packaged.is_file() else _CHECKOUT).read_text("utf-8")
    body = "\n".join(map(_block, re.split(r"\n\s*\n", text.strip())))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Syncline runbook</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<link rel="stylesheet" href="static/page.css"></head><body><main class="text">{body}</main></body></html>'
    )


def _block(text: str) -> str:
    heading = re.fullmatch(r"(#+) (.*)", text)
    if heading:
        level, title = len(heading[1]), heading[2]
        return f'<h{level} id="{escape(anchor(title))}">{_inline(title)}</h{level}>'
    if text.startswith("```"):
        return f"<pre>{escape(text.strip('`').partition(chr(10))[2])}</pre>"
    items = re.split(r"^(?:\d+\.|-) ", text, flags=re.MULTILINE)
    if len(items) > 1:
        tag = "ol" if re.search(r"^\d+\. ", text, re.MULTILINE) else "ul"
        lead = f"<p>{_inline(items[0])}</p>" if items[0].strip() else ""
        return f"{lead}<{tag}>{''.join(f'<li>{_inline(item)}</li>' for item in items[1:])}</{tag}>"
    return f"<p>{_inline(text)}</p>"


def anchor(title: str) -> str:
    """Name a heading as the documentation's links do."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


def _inline(text: str) -> str:
    marked = escape(" ".join(text.split()), quote=False)
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", marked)
    marked = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked)
    marked = re.sub(r"\[([^\]]+)\]\((#[\w-]+)\)", r'<a href="\2">\1</a>', marked)
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", marked)  # other pages of the documentation are not here
