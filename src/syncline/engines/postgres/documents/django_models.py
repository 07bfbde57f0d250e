"""The tables of documents as models of Django, which reads them and does not make them. Pure."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from syncline.model.documents import Column, DocumentMapping, Table
from syncline.model.entity import TableName

T = TypeVar("T")
_HEAD = '''\
"""The tables of documents: `syncline schema sql` makes them, and Syncline writes them."""

from django.db import models
'''
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "text": "TextField",
        "boolean": "BooleanField",
        "integer": "IntegerField",
        "bigint": "BigIntegerField",
        "long": "BigIntegerField",
        "double": "FloatField",
        "number": "FloatField",
        "numeric": "DecimalField",
        "timestamptz": "DateTimeField",
        "date": "DateField",
        "uuid": "UUIDField",
        "bytea": "BinaryField",
        "jsonb": "JSONField",
        "objectid": "CharField",
        "any": "TextField",
    }
)
_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"numeric": ("max_digits=1000", "decimal_places=500"), "objectid": ("max_length=24",)}
)
_TAKEN = frozenset({"pk", "objects", "check", "clean", "delete", "save", "id"})
"""What a field of a model cannot be called, or means something else."""


def models(mappings: Sequence[DocumentMapping]) -> str:
    """Write a module: a model for each table. Child tables have composite keys, which Django 5.2 brought."""
    tables = [table for mapping in mappings for table in mapping.tables]
    names = _called(table.name for table in tables)
    own = {mapping.collection.name: names[mapping.tables[0].name] for mapping in mappings}
    return "\n\n".join([_HEAD, *(_model(names[table.name], table, own) for table in tables)])


def _model(name: str, table: Table, own: Mapping[str, str]) -> str:
    fields = _called_fields(column.name for column in table.columns)
    lines = [
        f"    {fields[column.name]} = {_field(column, fields, own, of_key=table.keys if place < table.keys else 0)}"
        for place, column in enumerate(table.columns)
    ]
    if table.keys > 1:
        key = ", ".join(repr(fields[one]) for one in table.key)
        lines.insert(0, f"    pk = models.CompositePrimaryKey({key})")
    if table.parent is None:
        lines += _states()
    meta = f"    class Meta:\n        managed = False\n        db_table = {_table(table.name)!r}"
    return f"class {name}(models.Model):\n" + "\n".join(lines) + f"\n\n{meta}\n"


def _field(column: Column, fields: Mapping[str, str], own: Mapping[str, str], *, of_key: int) -> str:
    options = ["primary_key=True"] if of_key == 1 else []
    if not (of_key or column.field.required):
        options.append("null=True")
    if fields[column.name] != column.name:
        options.append(f"db_column={column.name!r}")
    if column.field.values:
        options.append(f"choices=[{', '.join(f'({one!r}, {one!r})' for one in column.field.values)}]")
    attribute = f"{fields[column.name]}_id"  # which Django adds to a reference
    to = own.get(column.field.references)
    if to is not None and attribute not in fields.values():
        given = [repr(to), "models.DO_NOTHING", f"db_column={column.name!r}", "db_constraint=False", 'related_name="+"']
        return f"models.ForeignKey({', '.join([*given, *(one for one in options if not one.startswith('db_column'))])})"
    return f"models.{_FIELDS[column.type.name]}({', '.join([*_OPTIONS.get(column.type.name, ()), *options])})"


def _states() -> list[str]:
    return [
        "    sync_status = models.TextField()",
        "    sync_error = models.TextField(null=True)",
        "    last_sync_at = models.DateTimeField(null=True)",
    ]


def _table(name: TableName) -> str:
    """Name a table as Django quotes it: it puts quotation marks around the whole."""
    return name.name if name.schema == "public" else f'{name.schema}"."{name.name}'


def _called(tables: Iterable[TableName]) -> dict[TableName, str]:
    """Call each table's model after it, in words that begin with capitals."""
    texts = ((one, one.name if one.schema == "public" else f"{one.schema}_{one.name}") for one in tables)
    return dict(
        _unlike((one, "".join(word[:1].upper() + word[1:] for word in _words(text)) or "Table") for one, text in texts)
    )


def _called_fields(columns: Iterable[str]) -> dict[str, str]:
    """Call each column's field after it, as far as Django takes it: no word of Python's, no two underlines."""

    def called(column: str) -> str:
        name = re.sub("_{2,}", "_", re.sub(r"\W", "_", column)).strip("_") or "field"
        if name[0].isdigit() or keyword.iskeyword(name) or name in _TAKEN:
            name = f"field_{name}"
        return name

    return dict(_unlike((column, called(column)) for column in columns))


def _unlike(pairs: Iterable[tuple[T, str]]) -> Iterator[tuple[T, str]]:
    taken: set[str] = set()
    for one, name in pairs:
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name}_{number}"
        taken.add(found)
        yield one, found


def _words(text: str) -> list[str]:
    return [one for one in re.split(r"\W+|_+", text) if one]
