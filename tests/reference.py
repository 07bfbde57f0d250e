"""Reference pages written from the code: ``python -m tests.reference`` renews them, a test sees that they are new."""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from syncline.cli.main import command
from syncline.config.collections import ArrayConfig, CollectionConfig, InnerConfig, ValueConfig
from syncline.config.entities import ComputedConfig, EmbedConfig, EntityConfig, IndexConfig
from syncline.config.load import File
from syncline.config.named import DatabaseSettings, Exemption
from tests.metrics_reference import metrics

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
RENEW = "<!-- Written by `python -m tests.reference`; edit the docstrings in src/syncline instead. -->\n"

CONFIGURATION = f"""\
{RENEW}
# Configuration

Syncline reads `syncline.toml` from the current folder, or the file named by `--config` or `SYNCLINE_CONFIG`. Two URLs
are enough to begin with; `syncline init` writes a file from your database. Every mistake is reported with its line.

The environment wins over the file:

- `DATABASE_URL` is the source, `MONGODB_URL` the target. A URL in the file that names variables itself
  (`url = "postgresql://sync:${{PASSWORD}}@host/db"`) is taken as written.
- `SYNCLINE_SECTION__NAME` sets any setting: `SYNCLINE_WORKER__BATCH_SIZE=500`, `SYNCLINE_LOG__LEVEL=debug`,
  `SYNCLINE_ENTITIES__TODO__EXCLUDE='["notes"]'`. Lists and tables are written as in TOML.

`${{NAME}}` in a URL is replaced by the variable. User and password are percent-encoded in URLs. Passwords are never
printed: not by commands, not in logs, not in errors.

`syncline config check` checks the file, and against the source what `syncline install` would refuse (`--offline`: the file alone);
`syncline config show` prints what is in force.

## `[links.NAME]`

A file with one link gives it no name: `[source]`, `[target]` and `[entities.NAME]` as below. Several links have a section each, with
sections of their own in it:

```toml
[links.orders.source]
url = "postgresql://sync@host/shop"
[links.orders.target]
url = "mongodb://host/orders"
[links.orders.entities.order]
table = "orders"
```

| in `[links.NAME]` | meaning |
|---|---|
| `source`, `target` | As `[source]` and `[target]`. Without a `url` they are the file's, except for what they set themselves. |
| `entities.NAME` | As `[entities.NAME]`; of this link alone. |
| `worker`, `history`, `mapping`, `verify` | What differs from the file's own sections. |
| `reverse_of` | Name of the link whose way back this is: the capture of each passes over what the other has written. |
| `each` | Of a pattern, `[links."shop_*"]`: a list of words, or the name of a file with a word a line. There is a link for each, with the word in place of `*`, and of `{{each}}` in its settings. |

A name has lower-case letters, digits and `_` (a letter after each), 24 at most. The link's schema in the source's database is
`syncline_NAME`; `view_name` is `Outbox_NAME`, `control_collection` is `_syncline_NAME`, `control_schema` is `syncline_target_NAME`, unless
they are set. `[entities.NAME]` beside `[links.NAME]` are those of a link without a name, which then is one of several. Changes of a link
with a name are captured by triggers. `SYNCLINE_LINKS__ORDERS__TARGET__URL` and the like set what is in a link; `DATABASE_URL` and `MONGODB_URL`
are the file's. See [Several links](../how-to/several-links.md).
"""
COMMANDS = f"""\
{RENEW}
# Commands

`syncline --help` and `syncline COMMAND --help` say the same. Before the command stand `--debug` (show the traceback of an
error) and `--version`.

Unless a command says otherwise its exit status is 0 when it did what was asked, 2 for wrong usage, 3 when it could not
run (one line on standard error says why, and what to do), 70 for a defect of Syncline, 130 after Ctrl-C. With `--json` the
report goes to standard output as JSON, with names in camelCase as in the health routes (what is yours keeps its own: rows, documents, settings);
an error is JSON on standard error, `{{"error": {{"message", "hint"}}}}`.
"""
ENTITY_PARTS = (
    ("[[split.exempt]]", Exemption),
    ("[databases.NAME]", DatabaseSettings),
    ("[entities.NAME]", EntityConfig),
    ("[entities.NAME.computed.FIELD]", ComputedConfig),
    ("[entities.NAME.embed.FIELD]", EmbedConfig),
    ("[[entities.NAME.indexes]]", IndexConfig),
    ("[collections.NAME]", CollectionConfig),
    ("[collections.NAME.columns]", ValueConfig),
    ("[collections.NAME.arrays.PATH]", ArrayConfig),
    ("[collections.NAME.objects.PATH]", InnerConfig),
)


def configuration() -> str:
    """Write ``configuration.md``."""
    sections = [
        (f"[{name}]", typing.cast("type[BaseModel]", info.annotation))
        for name, info in File.model_fields.items()
        if name not in ("entities", "databases", "collections")
    ]
    return "\n".join([CONFIGURATION, *(_section(name, model) for name, model in (*sections, *ENTITY_PARTS))])


def _section(name: str, model: type[BaseModel]) -> str:
    lines = [f"## `{name}`", "", (model.__doc__ or "").strip(), ""]
    lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
    meanings = _meanings(model)
    for field, info in model.model_fields.items():
        meaning = " ".join(meanings.get(field, "").split()).replace("|", "\\|")
        setting = info.validation_alias or field
        kind = "seconds" if str(setting).endswith("_seconds") else _type(info.annotation)
        lines.append(f"| `{setting}` | {kind} | {_default(info)} | {meaning} |")
    return "\n".join([*lines, ""])


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Read what stands below each field. (Pydantic can do so, too: each time that a command starts, for nobody.)"""
    found = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            (defined,) = ast.parse(inspect.getsource(base)).body
            for one, following in pairwise(defined.body if isinstance(defined, ast.ClassDef) else ()):
                match one, following:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found[name] = text
    return found


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return _type(next(a for a in arguments if a is not type(None)))
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is dict:
        return "table"
    if origin is tuple:
        return "list"
    return {str: "text", bool: "boolean", int: "integer", timedelta: "duration"}.get(annotation, "table")


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if info.is_required():
        return "required"
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return f"`{int(seconds // 86400)}d`" if seconds >= 86400 else f"`{seconds:g}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> str:
    """Write ``commands.md``."""
    return "\n".join([COMMANDS, *_commands(command(), "syncline")])


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield f"## `{path} {name}`\n\n{_text(one.help)}\n"
            yield from _commands(one, f"{path} {name}")
        else:
            level = "###" if " " in path else "##"
            yield f"{level} `{path} {name}`\n\n{_text(one.help)}\n"
            yield "\n".join(_parameters(one)) + "\n"


def _parameters(one: Any) -> Iterator[str]:
    yield "| parameter | meaning |"
    yield "|---|---|"
    for parameter in one.params:
        if parameter.name == "help":
            continue
        is_argument = parameter.param_type_name == "argument"
        opts = [parameter.name.upper()] if is_argument else [*parameter.opts, *parameter.secondary_opts]
        default = parameter.default
        shown = "" if default in (None, False, True, ()) or callable(default) else f" Default: `{default}`."
        yield f"| {', '.join(f'`{o}`' for o in opts)} | {_text(parameter.help)}{shown} |"


def _text(text: str | None) -> str:
    paragraphs = re.split(r"\n\s*\n", (text or "").strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("|", "\\|")


PAGES = {"configuration.md": configuration, "commands.md": commands, "metrics.md": metrics}

if __name__ == "__main__":
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write(), "utf-8")
