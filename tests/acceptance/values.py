"""Random values of every type: as SQL text, and as what the document must hold. Computed here, without our catalog."""

from __future__ import annotations

import json
import math
import random
import struct
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from bson.binary import Binary
from bson.decimal128 import Decimal128

Pair = tuple[str | None, Any]
"""SQL text and expected value."""
Make = Callable[[random.Random], Pair]

INFINITE = {"infinity": datetime(9999, 12, 31, 23, 59, 59, 999000), "-infinity": datetime(1, 1, 1)}  # noqa: DTZ001
INFINITE_DAYS = {"infinity": datetime(9999, 12, 31), "-infinity": datetime(1, 1, 1)}  # noqa: DTZ001
"""What every reader can read."""


def _integer(bits: int) -> Make:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def make(dice: random.Random) -> Pair:
        number = dice.choice((low, high, 0, -1, dice.randint(low, high), dice.randint(-1000, 1000)))
        return str(number), number

    return make


def _numeric(dice: random.Random) -> Pair:
    special = dice.choice(
        ("NaN", "Infinity", "-Infinity", "9" * 34, "-0." + "9" * 33, "0.00", "1.10", None, None, None, None)
    )
    if special is not None:
        return special, Decimal128(special)
    digits = dice.randint(1, 34)
    number = str(dice.randint(10 ** (digits - 1), 10**digits - 1))
    point = dice.randint(1, digits)
    text = dice.choice(("", "-")) + number[:point] + ("." + number[point:] if point < digits else "")
    return text, Decimal128(text)


def _money_like(dice: random.Random) -> Pair:
    text = f"{dice.randint(-(10**9), 10**9)}.{dice.randrange(100):02}"
    return text, Decimal128(text)


def _double(dice: random.Random) -> Pair:
    bits = struct.unpack("<d", dice.randbytes(8))[0]
    number = dice.choice((math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1, bits, dice.uniform(-1e9, 1e9)))
    return ("NaN", math.nan) if math.isnan(number) else (repr(number), number)


def _real(dice: random.Random) -> Pair:
    number = struct.unpack("<f", struct.pack("<f", dice.uniform(-1e6, 1e6)))[0]
    return repr(number), number


def _text(dice: random.Random) -> Pair:
    def character() -> str:
        while True:
            code = dice.choice((dice.randint(1, 127), dice.randint(1, 0x2FFF), dice.randint(1, 0x10FFFF)))
            if not 0xD800 <= code <= 0xDFFF:
                return chr(code)

    text = "".join(character() for _ in range(dice.randrange(12)))
    return text, text


def _padded(dice: random.Random) -> Pair:
    text = "".join(dice.choice("abcä") for _ in range(dice.randint(1, 5)))
    return text, text.ljust(5)


def _bytes(dice: random.Random) -> Pair:
    data = dice.randbytes(dice.randrange(20))
    return "\\x" + data.hex(), data


def _boolean(dice: random.Random) -> Pair:
    value = dice.random() < 0.5
    return str(value), value


def _uuid(dice: random.Random) -> Pair:
    value = uuid.UUID(int=dice.getrandbits(128))
    return str(value), Binary.from_uuid(value)


def _date(dice: random.Random) -> Pair:
    if dice.random() < 0.1:
        return dice.choice(list(INFINITE_DAYS.items()))
    day = date(1, 1, 1) + timedelta(days=dice.randrange(3_652_000))
    return day.isoformat(), datetime(day.year, day.month, day.day)  # noqa: DTZ001


def _moment(dice: random.Random, first: int = 1, years: int = 9998) -> datetime:
    return datetime(first, 1, 1) + timedelta(microseconds=dice.randrange(years * 365 * 86_400 * 10**6))  # noqa: DTZ001


def _floored(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _timestamp(dice: random.Random) -> Pair:
    if dice.random() < 0.1:
        return dice.choice(list(INFINITE.items()))
    moment = _moment(dice)
    return moment.isoformat(" "), _floored(moment)


def _timestamptz(dice: random.Random) -> Pair:
    moment = _moment(dice, 1902, 130)
    hours = dice.randint(-11, 12)
    return f"{(moment + timedelta(hours=hours)).isoformat(' ')}{hours:+03}", _floored(moment)


def _fraction(micros: int) -> str:
    return f".{micros:06}".rstrip("0").rstrip(".")


def _clock(dice: random.Random) -> Pair:
    micros = dice.choice((0, 500_000, dice.randrange(10**6)))
    text = time(dice.randrange(24), dice.randrange(60), dice.randrange(60)).isoformat() + _fraction(micros)
    return text, text


def _interval(dice: random.Random) -> Pair:
    def part(most: int, letter: str) -> str:
        number = dice.randrange(most) if dice.random() < 0.6 else 0
        return f"{number}{letter}" if number else ""

    days = part(50, "Y") + part(12, "M") + part(400, "D")
    seconds = f"{dice.randrange(60)}{_fraction(dice.randrange(10**6))}S" if dice.random() < 0.5 else ""
    clock = part(30, "H") + part(60, "M") + ("" if seconds == "0S" else seconds)
    text = "P" + days + ("T" + clock if clock else "") if days or clock else "PT0S"
    return text, text


def _json_value(dice: random.Random, depth: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: dice.random() < 0.5,
        lambda: dice.randint(-(2**63), 2**63 - 1),
        lambda: dice.uniform(-1000, 1000),
        lambda: (_text(dice)[0] or "").replace("\0", ""),
    ]
    if depth < 3:
        kinds.append(lambda: [_json_value(dice, depth + 1) for _ in range(dice.randrange(4))])
        # In the order in which jsonb keeps the keys of an object: by length, then bytewise.
        names = sorted(f"{dice.choice('$ab.')}{i}" for i in range(dice.randrange(4)))
        kinds.append(lambda: {name: _json_value(dice, depth + 1) for name in names})
    return dice.choice(kinds)()


def _json(dice: random.Random) -> Pair:
    value = {"value": _json_value(dice)}
    return json.dumps(value), value


def _jsonb_number(dice: random.Random) -> Pair:
    text = dice.choice(("18446744073709551616", "0.1234567890123456789", "-12345678901234567890.5"))
    return f'["{text}", {text}]', [text, Decimal128(text)]


def _array(element: Make) -> Make:
    """One dimension, NULLs among it; quoted so that every text is possible."""

    def make(dice: random.Random) -> Pair:
        pairs = [element(dice) if dice.random() < 0.8 else (None, None) for _ in range(dice.randrange(5))]
        return "{" + ",".join(_quoted(text) for text, _ in pairs) + "}", [value for _, value in pairs]

    return make


def _quoted(text: str | None) -> str:
    return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _matrix(dice: random.Random) -> Pair:
    rows = [[dice.randint(-9, 9) for _ in range(3)] for _ in range(2)]
    return "{" + ",".join("{" + ",".join(map(str, row)) + "}" for row in rows) + "}", rows


def _choice(*texts: str) -> Make:
    def make(dice: random.Random) -> Pair:
        text = dice.choice(texts)
        return text, text

    return make


def _int_range(dice: random.Random) -> Pair:
    if dice.random() < 0.2:
        return dice.choice((("empty", {"empty": True}), ("(,)", {"lower": None, "upper": None, "bounds": "()"})))
    low = dice.randint(-1000, 1000)
    high = low + dice.randint(1, 100)
    return f"[{low},{high})", {"lower": low, "upper": high, "bounds": "[)"}


def _numeric_range(dice: random.Random) -> Pair:
    low, high = f"{dice.randint(0, 9)}.10", f"{dice.randint(10, 99)}.250"
    bounds = dice.choice(("[]", "()", "[)", "(]"))
    text = f"{bounds[0]}{low},{high}{bounds[1]}"
    return text, {"lower": Decimal128(low), "upper": Decimal128(high), "bounds": bounds}


def _moment_range(dice: random.Random) -> Pair:
    moment = _moment(dice, 2000, 5)
    return f'["{moment.isoformat(" ")}+00",infinity)', {
        "lower": _floored(moment), "upper": INFINITE["infinity"], "bounds": "[)",
    }  # fmt: skip


def _multirange(dice: random.Random) -> Pair:
    starts = sorted(dice.sample(range(0, 1000, 10), dice.randrange(4)))
    text = "{" + ",".join(f"[{start},{start + 5})" for start in starts) + "}"
    return text, [{"lower": start, "upper": start + 5, "bounds": "[)"} for start in starts]


TYPES: dict[str, Make] = {
    "smallint": _integer(16),
    "integer": _integer(32),
    "bigint": _integer(64),
    "numeric": _numeric,
    "numeric(12,2)": _money_like,
    "real": _real,
    "double precision": _double,
    "text": _text,
    "varchar(20)": _text,
    "char(5)": _padded,
    "bytea": _bytes,
    "boolean": _boolean,
    "uuid": _uuid,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "time": _clock,
    "interval": _interval,
    "json": _json,
    "jsonb": _json,
    "jsonb NOT NULL": _jsonb_number,
    "integer[]": _array(_integer(32)),
    "integer[][]": _matrix,
    "text[]": _array(_text),
    "numeric[]": _array(_numeric),
    "double precision[]": _array(_double),
    "timestamptz[]": _array(_timestamptz),
    "bytea[]": _array(_bytes),
    "uuid[]": _array(_uuid),
    "mood": _choice("sad", "so-so", "überglücklich"),
    "mood[]": _array(_choice("sad", "so-so", "überglücklich")),
    "price": _money_like,
    "price[]": _array(_money_like),
    "int4range": _int_range,
    "numrange": _numeric_range,
    "tstzrange": _moment_range,
    "int8multirange": _multirange,
    "inet": _choice("10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32"),
    "cidr": _choice("10.0.0.0/8", "2001:db8::/32"),
    "macaddr": _choice("08:00:2b:01:02:03"),
    "bit(3)": _choice("101", "000"),
    "varbit": _choice("", "10110"),
    "money": _choice("$1,234.50", "-$92,233,720,368,547,758.08"),
    "point": _choice("(1.5,-2)"),
    "tsvector": _choice("'a':1 'b':2"),
    "pg_lsn": _choice("16/B374D848"),
    "xid8": _choice("18446744073709551615"),
}
"""Column type to its values."""


def random_pair(type_: str, dice: random.Random) -> Pair:
    """Draw a value; where NULL is allowed, one in ten."""
    if "NOT NULL" not in type_ and dice.random() < 0.1:
        return None, None
    return TYPES[type_](dice)
