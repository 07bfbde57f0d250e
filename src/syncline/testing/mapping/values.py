"""Random values of each type as SQL text, and the values at its edges. All chance comes from ``random``."""

# ruff: noqa: RUF001  (some texts are odd on purpose; nothing here is a secret)

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from types import MappingProxyType

from syncline.testing.mapping.tables import Type

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grüße", "harbour", "ivory", "jade", "ключ", "木", "𝕏")
HEADER = 4
"""What PostgreSQL adds to the length of a varchar in its type modifier."""
_DECADES = 365 * 80 * 86_400
_BITS = {"int2": 15, "int4": 31, "int8": 63}
Make = Callable[[Random, Type, int], str]


def random_text(type_: Type, random: Random, number: int, *, kind: str | None = None) -> str | None:
    """Make a value as SQL text; ``None``: nothing is known about the type.

    Args:
        type_: the column's.
        random: where chance comes from.
        number: grows from row to row, so that texts differ.
        kind: what ``types`` in the configuration makes of the column: then only values that it can hold.

    """
    if kind in {"long", "double"} and type_.name == "numeric":
        return str(random.randint(-999, 9999)) if not _digits(type_) else _numeric(random, type_, number, whole=True)
    if type_.kind == "e":
        return random.choice(type_.labels)
    if type_.kind == "a" and type_.element is not None:
        return _array(type_.element, random, number)
    if type_.kind in "rm" and type_.element is not None:
        return _range(type_, random)
    make = _MAKE.get(type_.name)
    return make(random, type_, number) if make else None


def edge_texts(type_: Type) -> list[str]:
    """List the values at the edges of a type; the database may refuse some of them."""
    if type_.kind == "e":
        return list(type_.labels)
    if type_.kind == "a" and type_.element is not None:
        inner = [text for text in edge_texts(type_.element) if len(text) < 200]
        return ["{}", array_literal([None]), array_literal(inner[:8]), *(array_literal([text]) for text in inner[8:])]
    if type_.kind in "rm":
        return ["empty", "(,)"] if type_.kind == "r" else ["{}", "{(,)}"]
    if type_.name == "numeric":
        return _numeric_edges(type_)
    if type_.name in {"varchar", "bpchar"} and type_.modifier > 0:
        length = type_.modifier - HEADER
        return [text for text in (*_EDGES["text"], "ü" * length) if len(text) <= length]
    if type_.name in {"bit", "varbit"}:
        return ["0" * max(1, type_.modifier), "1" * max(1, type_.modifier)]
    return list(_EDGES.get(type_.name, ()))


def unstorable_texts(type_: Type) -> list[str]:
    """List values that PostgreSQL takes and no document can hold."""
    if type_.name == "numeric" and (type_.modifier < 0 or sum(_digits(type_)) > 60):
        return ["1" * 35, "-0." + "3" * 40]
    return ['{"exact": ' + "7" * 40 + "}"] if type_.name in {"json", "jsonb"} else []


def array_literal(items: Sequence[object]) -> str:
    """Write an array; ``None`` is NULL, lists are further dimensions."""
    return "{" + ",".join(_item(item) for item in items) + "}"


def _item(item: object) -> str:
    if item is None:
        return "NULL"
    if isinstance(item, list):
        return array_literal(item)
    return '"' + str(item).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _integer(random: Random, type_: Type, _: int) -> str:
    most = 2 ** _BITS[type_.name] - 1
    size = random.choice((10, 100, 1000, 100_000, most))
    return str(random.randint(0, min(size, most)) * random.choice((1, 1, 1, -1)))


def _digits(type_: Type) -> tuple[int, int]:
    """Precision and scale; ``()`` would be free, which is (0, 0) here."""
    if type_.modifier < HEADER:
        return (0, 0)
    declared = type_.modifier - HEADER
    scale = declared & 0x7FF
    return declared >> 16 & 0xFFFF, scale - 2048 if scale > 1023 else scale


def _numeric(random: Random, type_: Type, _: int, *, whole: bool = False) -> str:
    precision, scale = _digits(type_)
    if not precision:
        return f"{random.randint(-9999, 999_999)}.{random.randint(0, 999):03}"
    left = max(0, min(precision - max(scale, 0), 6, 6 + scale if scale < 0 else 6))
    number = random.randint(0, 10 ** random.randint(0, left) - 1)
    fraction = "" if scale <= 0 or whole else f".{random.randrange(10 ** min(scale, 30)):0{min(scale, 30)}}"
    return f"{random.choice(('', '', '-'))}{number}{fraction}"


def _numeric_edges(type_: Type) -> list[str]:
    precision, scale = _digits(type_)
    if not precision:
        return ["0", "1.10", "-0.00", "9" * 34, "0." + "0" * 6000 + "1", "1" + "0" * 40, "NaN", "Infinity", "-Infinity"]
    if precision > 34 or scale < 0:
        return ["0", "1", "NaN"]
    most = "9" * (precision - scale) + ("." + "9" * scale if scale else "")
    return ["0", most, f"-{most}", "0." + "0" * (scale - 1) + "1" if scale else "1", "NaN"]


def _float(random: Random, _: Type, __: int) -> str:
    return repr(random.choice((random.uniform(0, 100), random.uniform(-1e9, 1e9), random.randint(0, 1000) / 8)))


def _text(random: Random, type_: Type, number: int) -> str:
    length = type_.modifier - HEADER if type_.modifier > 0 else 63 if type_.name == "name" else 200
    if length < 12:
        return "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=max(1, length)))
    return f"{random.choice(WORDS)} {random.choice(WORDS)} {number}"[:length]


def _moment(random: Random) -> datetime:
    return datetime(1960, 1, 1) + timedelta(seconds=random.randrange(_DECADES), microseconds=random.randrange(10**6))  # noqa: DTZ001


def _json(random: Random, _: Type, number: int) -> str:
    inner = {"name": random.choice(WORDS), "n": number, "flags": [random.random() < 0.5, None], "$x.y": 1.5}
    return json.dumps(random.choice((inner, [inner, number], {"deep": {"er": inner}}, {})), ensure_ascii=False)


def _bits(random: Random, type_: Type, _: int) -> str:
    length = type_.modifier if type_.modifier > 0 else 1 if type_.name == "bit" else 9
    return "".join(random.choices("01", k=length))


def _interval(random: Random, _: Type, __: int) -> str:
    return f"P{random.randint(0, 9)}Y{random.randint(0, 11)}M{random.randint(0, 60)}DT{random.randint(0, 99)}M"


def _point(random: Random) -> str:
    return f"({random.randint(-99, 99) / 4},{random.randint(-99, 99) / 4})"


def _array(element: Type, random: Random, number: int) -> str | None:
    items = [random_text(element, random, number + index) for index in range(random.randrange(4))]
    known = all(item is not None for item in items) and random_text(element, random, number) is not None
    return array_literal(items) if known else None


def _range(type_: Type, random: Random) -> str | None:
    low = random.randint(-50, 500)
    high = low + random.randint(1, 100)
    name = type_.element.name if type_.element else ""
    if name in {"int4", "int8", "numeric"}:
        text = f"[{low},{high})"
    elif name in {"date", "timestamp", "timestamptz"}:
        start = datetime(2020, 1, 1)  # noqa: DTZ001
        text = "[{},{})".format(*((start + timedelta(days=day)).date() for day in (low, high)))
    else:
        return None
    return f"{{{text}}}" if type_.kind == "m" else text


_MAKE: Mapping[str, Make] = MappingProxyType(
    {
        **dict.fromkeys(("int2", "int4", "int8"), _integer),
        **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext"), _text),
        **dict.fromkeys(("float4", "float8"), _float),
        **dict.fromkeys(("json", "jsonb"), _json),
        **dict.fromkeys(("bit", "varbit"), _bits),
        "numeric": _numeric,
        "oid": lambda random, _, __: str(random.randrange(2**32)),
        "bool": lambda random, _, __: random.choice(("true", "false")),
        "char": lambda random, _, __: random.choice("abc"),
        "bytea": lambda random, _, __: "\\x" + random.randbytes(random.randrange(20)).hex(),
        "uuid": lambda random, _, __: str(uuid.UUID(int=random.getrandbits(128))),
        "date": lambda random, _, __: _moment(random).date().isoformat(),
        "timestamp": lambda random, _, __: _moment(random).isoformat(" "),
        "timestamptz": lambda random, _, __: f"{_moment(random).isoformat(' ')}{random.randint(-11, 12):+03}",
        "time": lambda random, _, __: _moment(random).time().isoformat(),
        "timetz": lambda random, _, __: f"{_moment(random).time().isoformat()}{random.randint(-11, 12):+03}",
        "interval": _interval,
        "money": lambda random, _, __: f"{random.randint(-(10**6), 10**6)}.{random.randrange(100):02}",
        "inet": lambda random, _, __: f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}",
        "cidr": lambda random, _, __: f"10.{random.randrange(256)}.0.0/16",
        "macaddr": lambda random, _, __: random.randbytes(6).hex(":"),
        "macaddr8": lambda random, _, __: random.randbytes(8).hex(":"),
        "point": lambda random, _, __: _point(random),
        "lseg": lambda random, _, __: f"[{_point(random)},{_point(random)}]",
        "box": lambda random, _, __: f"{_point(random)},{_point(random)}",
        "tsvector": lambda random, _, number: f"{random.choice(WORDS)}:1 n{number}:2",
        "xml": lambda _, __, number: f"<n>{number}</n>",
        "ltree": lambda random, _, number: f"top.{random.choice('abc')}.n{number}",
        "hstore": lambda random, _, number: f'"{random.choice(WORDS)}"=>"{number}"',
    }
)
_TEXT_EDGES = (
    "",
    " ",
    "  padded  ",
    'it\'s "quoted" \\ back',
    "$set",
    "$$ROOT",
    "a.b.c",
    "null",
    "\t\n\r",
    "Z̆ 𝕌 👩‍👩‍👧",
    "x" * 3000,
)
_TIMES = ("1969-12-31 23:59:59.999999", "2026-03-29 01:59:59.123456", "0001-01-01", "9999-12-31 23:59:59.999999")
_FAR_TIMES = ("4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999", "infinity", "-infinity")
_EDGES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "int2": ("0", "-1", "32767", "-32768"),
        "int4": ("0", "-1", "2147483647", "-2147483648"),
        "int8": ("0", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808"),
        "oid": ("0", "4294967295"),
        "float4": ("0", "-0", "0.1", "3.4028235e38", "NaN", "Infinity", "-Infinity"),
        "float8": ("0", "-0", "0.1", "5e-324", "1.7976931348623157e308", "NaN", "Infinity", "-Infinity"),
        "bool": ("true", "false"),
        **dict.fromkeys(("text", "varchar", "citext"), _TEXT_EDGES),
        "bytea": ("\\x", "\\x00", "\\x00ff00ff", "\\x" + "ab" * 3000),
        "uuid": (str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))),
        "date": ("1969-12-31", "0001-01-01", "9999-12-31", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity"),
        "timestamp": (*_TIMES, *_FAR_TIMES),
        "timestamptz": (*(f"{text}+00" for text in _TIMES), "4713-01-01 00:00:00+00 BC", *_FAR_TIMES[2:]),
        "time": ("00:00:00", "23:59:59.999999", "24:00:00"),
        "timetz": ("00:00:00+15", "23:59:59.999999-15"),
        "interval": ("PT0S", "P-1Y2M-3DT4H5M6.789S", "-00:00:00.000001"),
        "inet": ("0.0.0.0/0", "10.0.0.1/8", "::1", "fe80::/10"),
        "money": ("0", "-92233720368547758.08"),
        **dict.fromkeys(
            ("json", "jsonb"),
            (
                "null",
                "{}",
                "[]",
                '""',
                '{"$set": 1, "a.b": {"": [1, null, {"c": "$d"}]}}',
                '{"big": 12345678901234567890, "exact": 0.1000000000000000055511151231257827, "tiny": 5e-324}',
                "[[1, [2, []]], {}, false]",
            ),
        ),
    }
)
