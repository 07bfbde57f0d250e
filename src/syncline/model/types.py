"""The catalog: what a column of each PostgreSQL type becomes in a document, and what may be chosen instead.

Lossless by default; the declared exceptions stand in ``docs/reference/types.md``; a test holds it against this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from syncline.errors import MappingError
from syncline.model.entity import Column, TableName

PINNED_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "timezone": "UTC",
        "datestyle": "ISO, MDY",
        "intervalstyle": "iso_8601",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "lc_monetary": "C",
        "xmloption": "content",
    }
)
"""How values print: settings of every session that reads states, and of every function that makes key text."""


class Kind(StrEnum):
    """What a value is in a document."""

    LONG = "long"
    DOUBLE = "double"
    DECIMAL = "decimal"
    TEXT = "text"
    BOOLEAN = "boolean"
    BINARY = "binary"
    UUID = "uuid"
    DATE = "date"
    MICROS = "micros"
    JSON = "json"
    RANGE = "range"
    MULTIRANGE = "multirange"


class Form(StrEnum):
    """How the column is written in the SELECT list."""

    PLAIN = "plain"
    CAST = "cast"
    """``value::cast``"""
    OUTPUT = "output"
    """The text that the type's output function writes, for every type; a cast to text may be another one."""
    UTC = "utc"
    """``value AT TIME ZONE 'UTC'``: a naive timestamp, for which the driver has its fastest loader."""
    JSONB = "jsonb"
    """``to_jsonb(value)``"""
    EPOCH = "epoch"
    """``extract(epoch FROM value)::text``: exact seconds."""
    NEAR_DATE = "near_date"
    """The value, or the nearest day of the years 1 to 9999."""
    NEAR_TIMESTAMP = "near_timestamp"
    """The value, or the nearest instant of the years 1 to 9999."""
    NEAR_UTC = "near_utc"
    """The same ``AT TIME ZONE 'UTC'``."""


class Convert(StrEnum):
    """What is left to do in Python to a value: that the SELECT list delivers as text, or that may hold far dates."""

    LONG = "long"
    DOUBLE = "double"
    DECIMAL = "decimal"
    MICROS = "micros"
    NEAR_DAYS = "near_days"
    NEAR_INSTANTS = "near_instants"
    FAR_TEXTS = "far_texts"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a value of one type is selected and loaded to become one kind."""

    kind: Kind
    form: Form = Form.PLAIN
    cast: str | None = None
    convert: Convert | None = None


_TEXT_CAST = Reading(Kind.TEXT, Form.CAST, "text")
_PLAIN = {
    Kind.LONG: ("int2", "int4", "int8", "oid"),
    Kind.DOUBLE: ("float4", "float8"),
    Kind.DECIMAL: ("numeric",),
    Kind.TEXT: ("text", "varchar", "bpchar", "name"),
    Kind.BOOLEAN: ("bool",),
    Kind.BINARY: ("bytea",),
    Kind.UUID: ("uuid",),
    Kind.DATE: ("date", "timestamp"),
    Kind.JSON: ("json", "jsonb"),
    Kind.RANGE: ("range",),
    Kind.MULTIRANGE: ("multirange",),
}
_AS_TEXT = (
    "enum", "char", "cidr", "macaddr", "macaddr8", "bit", "varbit", "xml", "tsvector", "tsquery", "jsonpath",
    "point", "line", "lseg", "box", "path", "polygon", "circle", "interval", "time", "timetz",
    "pg_lsn", "xid8", "xid", "cid", "tid", "money", "txid_snapshot", "pg_snapshot",
    "regclass", "regproc", "regprocedure", "regtype", "regrole", "regnamespace",
    "citext", "ltree",
)  # fmt: skip

CATALOG: Mapping[str, Reading] = MappingProxyType(
    {
        **{base: Reading(kind) for kind, bases in _PLAIN.items() for base in bases},
        **dict.fromkeys(_AS_TEXT, _TEXT_CAST),
        # inet::text always appends the mask; by way of name it prints as in psql: 10.0.0.1
        "inet": Reading(Kind.TEXT, Form.CAST, "name"),
        "timestamptz": Reading(Kind.DATE, Form.UTC),
    }
)
"""Base type to its default reading. ``Column.base`` is looked up here."""

_LONG = Reading(Kind.LONG, Form.CAST, "text", Convert.LONG)
_DOUBLE = Reading(Kind.DOUBLE, Form.CAST, "text", Convert.DOUBLE)
_DECIMAL = Reading(Kind.DECIMAL, Form.CAST, "numeric")
_MICROS = Reading(Kind.MICROS, Form.EPOCH, None, Convert.MICROS)
_INTEGERS = {base: {Kind.DECIMAL: _DECIMAL, Kind.DOUBLE: _DOUBLE} for base in ("int2", "int4", "int8", "oid")}
_TIMES = {base: {Kind.MICROS: _MICROS} for base in ("date", "timestamp", "timestamptz")}
OVERRIDES: Mapping[str, Mapping[Kind, Reading]] = MappingProxyType(
    {**_INTEGERS, **_TIMES, "numeric": {Kind.LONG: _LONG, Kind.DOUBLE: _DOUBLE}, "xid8": {Kind.LONG: _LONG}}
)
"""Kinds that may be chosen besides the default; ``text`` and ``json`` may be chosen for every type."""

COMPUTED: Mapping[Kind, Reading] = MappingProxyType(
    {
        Kind.LONG: _LONG,
        Kind.DOUBLE: _DOUBLE,
        Kind.DECIMAL: Reading(Kind.DECIMAL, Form.CAST, "text", Convert.DECIMAL),
        Kind.TEXT: _TEXT_CAST,
        Kind.JSON: Reading(Kind.JSON, Form.JSONB),
        Kind.MICROS: _MICROS,
        Kind.BOOLEAN: Reading(Kind.BOOLEAN, Form.CAST, "boolean"),
        Kind.BINARY: Reading(Kind.BINARY, Form.CAST, "bytea"),
        Kind.UUID: Reading(Kind.UUID, Form.CAST, "uuid"),
        Kind.DATE: Reading(Kind.DATE),
    }
)
"""Readings of computed fields that name their kind."""

_NEAR = {"date": Form.NEAR_DATE, "timestamp": Form.NEAR_TIMESTAMP, "timestamptz": Form.NEAR_UTC}
_DAY_RANGES = frozenset((3912, 3913, 4535, 6155))
_INSTANT_RANGES = frozenset((3908, 3909, 3910, 3911, 4533, 4534, 6152, 6153))

FIRST_NORMAL_OID = 16384
"""Types below this are PostgreSQL's own."""
RANGE_OIDS = frozenset((3904, 3906, 3908, 3910, 3912, 3926))
RANGE_ARRAY_OIDS = frozenset((3905, 3907, 3909, 3911, 3913, 3927))
MULTIRANGE_OIDS = frozenset((4451, 4532, 4533, 4534, 4535, 4536))
MULTIRANGE_ARRAY_OIDS = frozenset((6150, 6151, 6152, 6153, 6155, 6157))
_KNOWN_RANGES = RANGE_OIDS | RANGE_ARRAY_OIDS | MULTIRANGE_OIDS | MULTIRANGE_ARRAY_OIDS


def kind_named(name: str) -> Kind:
    """Look up a kind by the name used in the configuration.

    Raises:
        MappingError: there is no such kind.

    """
    try:
        return Kind(name)
    except ValueError:
        raise MappingError(f"there is no kind {name!r}", hint=f"one of: {', '.join(Kind)}") from None


def default_reading(column: Column) -> Reading | None:
    """How the column is read when nothing is configured; ``None``: its type is not in the catalog."""
    if column.base in {"range", "multirange"} and column.oid not in _KNOWN_RANGES:
        return None
    return CATALOG.get(column.base)


def reading_of(table: TableName, column: Column, override: str | None = None) -> Reading:
    """Decide how a column is selected and loaded.

    Raises:
        MappingError: the type has no lossless form, or the override could lose something without saying so.

    """
    default = default_reading(column)
    if override is None:
        if default is None:
            raise MappingError(
                f"{table}.{column.name}: type {column.type} has no form in documents",
                hint=f'types = {{ {column.name} = "text" }} (or "json"), or exclude = ["{column.name}"]',
            )
        return _in_array(column, default) if column.array else default
    return _overridden(table, column, default, kind_named(override))


def readable(reading: Reading, dates: str, column: Column | None = None) -> Reading:
    """Add to a reading what makes far dates readable for every driver.

    Args:
        reading: of the column, or of an expression.
        dates: one of ``DATES``.
        column: ``None``: an expression, whose type nobody knows.

    """
    plain = reading.convert is None and reading.form in {Form.PLAIN, Form.UTC, Form.CAST}
    if dates == "exact" or not plain or not _dated(reading, column):
        return reading
    if dates == "text":
        return replace(reading, convert=Convert.FAR_TEXTS)
    if column is None:
        return replace(reading, convert=Convert.NEAR_INSTANTS)
    if reading.kind is Kind.DATE and not column.array:
        return replace(reading, form=_NEAR[column.base])
    days = column.base == "date" or column.oid in _DAY_RANGES
    return replace(reading, convert=Convert.NEAR_DAYS if days else Convert.NEAR_INSTANTS)


def _dated(reading: Reading, column: Column | None) -> bool:
    if column is None:
        return reading.form is Form.PLAIN
    return reading.kind is Kind.DATE or (
        reading.kind in {Kind.RANGE, Kind.MULTIRANGE} and column.oid in _DAY_RANGES | _INSTANT_RANGES
    )


def _overridden(table: TableName, column: Column, default: Reading | None, kind: Kind) -> Reading:
    if default is not None and kind is default.kind:
        return _in_array(column, default) if column.array else default
    if kind is Kind.TEXT:
        return _TEXT_CAST
    if kind is Kind.JSON:
        return Reading(Kind.JSON, Form.JSONB)
    chosen = None if column.array else OVERRIDES.get(column.base, {}).get(kind)
    if chosen is None:
        raise MappingError(
            f"{table}.{column.name}: type {column.type} cannot become {kind.value!r} without a silent loss",
            hint=f"possible here: {', '.join(allowed_kinds(column))}",
        )
    return chosen


def allowed_kinds(column: Column) -> list[str]:
    """Name the kinds that ``types`` may choose for this column, the default first."""
    default = default_reading(column)
    extra = () if column.array else tuple(OVERRIDES.get(column.base, {}))
    kinds = ([default.kind] if default else []) + [*extra, Kind.TEXT, Kind.JSON]
    return list(dict.fromkeys(k.value for k in kinds))


def _in_array(column: Column, reading: Reading) -> Reading:
    """Casts apply to the whole array; ``AT TIME ZONE`` does not exist there, the loader does its work.

    An array of a domain comes under an oid of its own, which the driver does not know: it is cast to that of the base.
    """
    cast = reading.cast or (column.base if column.oid >= FIRST_NORMAL_OID else None)
    return Reading(reading.kind, Form.CAST, f"{cast}[]") if cast else Reading(reading.kind)
