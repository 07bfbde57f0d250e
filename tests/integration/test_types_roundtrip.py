"""Every type, extreme values included: what PostgreSQL prints is what the BSON document says after a round trip."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bson
import psycopg
import pytest
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from syncline.engines.postgres.projection_sql import range_query, state_query
from syncline.model.entity import Column, Computed, Entity, Fields, TableName
from syncline.model.mapping import Projection
from syncline.model.types import PINNED_SETTINGS
from syncline.model.values import INFINITY, MINUS_INFINITY
from syncline.postgres.loaders import fetch_rows, register_loaders, reload_rows
from tests.shapes import read_shape

OPTIONS = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
KEY_TEXT = sql.SQL("pg_temp.key_text")
NOW = datetime(2026, 1, 1)  # noqa: DTZ001
CODEC = {"source": "postgresql", "synced_at": NOW, "ticket": 1 << 31}


@pytest.fixture(scope="module")
def connection(postgres) -> Iterator[psycopg.Connection[Any]]:
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in PINNED_SETTINGS.items())
    with psycopg.connect(postgres.url, autocommit=True, prepare_threshold=None, options=options) as found:
        register_loaders(found.adapters)
        found.execute("CREATE FUNCTION pg_temp.key_text(v bigint) RETURNS text LANGUAGE sql AS 'SELECT v::text'")
        found.execute("DROP SCHEMA IF EXISTS roundtrip CASCADE; CREATE SCHEMA roundtrip")
        found.execute("CREATE TYPE roundtrip.mood AS ENUM ('sad', 'so-so', 'überglücklich')")
        found.execute(
            "CREATE DOMAIN roundtrip.price AS numeric(12,2); CREATE DOMAIN roundtrip.gross AS roundtrip.price"
        )
        found.execute("CREATE DOMAIN roundtrip.moments AS timestamptz[]; CREATE DOMAIN roundtrip.moment AS timestamptz")
        found.execute("CREATE DOMAIN roundtrip.span AS int4range")
        found.execute("CREATE TYPE roundtrip.pair AS (a int, b text)")
        yield found
        found.execute("DROP SCHEMA roundtrip CASCADE")


def documents(connection: psycopg.Connection[Any], projection: Projection, keys: list[str]) -> list[dict[str, Any]]:
    """Read states as the relay does, encode and decode them."""
    cursor = connection.cursor(binary=True)
    cursor.execute(state_query(projection, KEY_TEXT), projection.codec.parameters(keys))
    try:
        rows = cursor.fetchall()
    except psycopg.DataError:
        rows = reload_rows(connection, cursor.pgresult)
    found = projection.documents(rows, **CODEC)
    return [bson.decode(bson.encode(document), OPTIONS) for document in found]


def of_type(
    connection: psycopg.Connection[Any], type_: str, values: list[str | None], fields: Fields | None = None
) -> list[Any]:
    """Store the values (as SQL text), return what their documents hold."""
    connection.execute("DROP TABLE IF EXISTS roundtrip.t")
    connection.execute(f"CREATE TABLE roundtrip.t (id bigint PRIMARY KEY, v {type_})")
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO roundtrip.t VALUES (%s, %s::text::{type_})", list(enumerate(values)))
    entity = Entity("t", TableName("roundtrip", "t"), "t", fields=fields or Fields())
    projection = Projection(entity, read_shape(connection, "roundtrip.t"))
    found = documents(connection, projection, [str(i) for i in range(len(values))])
    assert len(found) == len(values)
    by_id = {document["_id"]: document for document in found}
    assert all(by_id[i]["_originalId"] == str(i) for i in by_id)
    return [by_id[i]["v"] for i in range(len(values))]


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("smallint", ["-32768", "0", "32767"]),
        ("integer", ["-2147483648", "2147483647"]),
        ("bigint", ["-9223372036854775808", "9223372036854775807", "9007199254740993"]),
        ("oid", ["0", "4294967295"]),
    ],
)
def test_integers_stay_integers(connection, type_, values):
    assert of_type(connection, type_, values) == [int(v) for v in values]


def test_doubles_keep_every_bit(connection):
    texts = ["0", "-0", "1.1", "5e-324", "1.7976931348623157e308", "Infinity", "-Infinity", "NaN"]
    for text, value in zip(texts, of_type(connection, "double precision", texts), strict=True):
        assert isinstance(value, float)
        assert repr(value) == repr(float(text))
    assert math.copysign(1, of_type(connection, "double precision", ["-0"])[0]) == -1


def test_reals_become_the_same_number_as_double(connection):
    assert of_type(connection, "real", ["0.1", "3.4028235e38"]) == [0.10000000149011612, 3.4028234663852886e38]


NUMERICS = [
    "0", "0.00", "1.10", "-1.10", "100", "10000", "0.0001", "0.00010000", "-99999999.99999999", "NaN",
    "Infinity", "-Infinity", "9" * 34, "-" + "9" * 34, "0." + "9" * 34, "9999999999999999.999999999999999999",
    "1" + "0" * 33, "123456789012345678901234567890.1234", "0." + "0" * 6142 + "1", "9223372036854775808", "18446744073709551616",
]  # fmt: skip


def test_numerics_keep_digits_and_scale(connection):
    for text, value in zip(NUMERICS, of_type(connection, "numeric", NUMERICS), strict=True):
        assert isinstance(value, Decimal128)
        printed, loaded = Decimal(text), value.to_decimal()
        assert printed.is_nan() == loaded.is_nan()
        if printed.is_finite():
            assert (loaded, loaded.as_tuple().exponent) == (printed, printed.as_tuple().exponent)
        elif not printed.is_nan():
            assert loaded == printed


def test_numeric_of_more_than_34_places_keeps_its_value_when_only_zeros_are_in_excess(connection):
    value = of_type(connection, "numeric", ["1" + "0" * 40, "1." + "0" * 50])
    assert [v.to_decimal() for v in value] == [Decimal(10) ** 40, Decimal(1)]


@pytest.mark.parametrize("text", ["1" * 35, "0." + "1" * 35, "1" + "0" * 34 + ".1", "9" * 5000])
def test_numeric_with_too_many_digits_is_rejected_by_the_encoder_only(connection, text):
    with pytest.raises(bson.errors.InvalidDocument, match="34 digits"):
        of_type(connection, "numeric", [text])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=None), min_size=1, max_size=30))
def test_any_numeric_is_exact_or_rejected(connection, numbers):
    texts = [
        format(number, "f")
        for number in numbers
        if len(number.as_tuple().digits) + abs(number.as_tuple().exponent) < 16000
    ]
    cursor = connection.cursor(binary=True)
    rows = cursor.execute("SELECT v, v::text FROM unnest(%s::text[]::numeric[]) AS v", (texts,)).fetchall()
    for value, printed in rows:
        exact = Decimal(printed)
        if isinstance(value, Decimal128):
            assert value.to_decimal() == exact
        else:
            assert len("".join(map(str, exact.as_tuple().digits)).strip("0")) > 34 or abs(exact.adjusted()) > 6100


TEXTS: dict[str, list[str]] = {
    "text": ["", "a", "äöü €", "𝄞 \U0001f600", "line\nbreak", "$where", "a.b", "'\"\\"],
    "varchar(10)": ["", "0123456789"],
    "name": ["todos"],
    '"char"': ["x"],
    "roundtrip.mood": ["sad", "so-so", "überglücklich"],
    "inet": ["10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32", "::ffff:1.2.3.4"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(3)": ["101"],
    "varbit": ["", "10110"],
    "xml": ["<a>b</a>"],
    "tsvector": ["'a':1 'b':2"],
    "tsquery": ["'a' & 'b'"],
    "point": ["(1.5,-2)"],
    "line": ["{1,2,3}"],
    "lseg": ["[(1,2),(3,4)]"],
    "box": ["(3,4),(1,2)"],
    "path": ["((1,2),(3,4))"],
    "polygon": ["((0,0),(1,0),(1,1))"],
    "circle": ["<(1,2),3>"],
    "interval": ["P1Y2M3DT4H5M6.789S", "PT0S", "P-1Y-2M3DT-4H-5M-6S"],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00", "12:34:56.5"],
    "timetz": ["12:34:56.123456+02", "00:00:00-15:59:59"],
    "pg_lsn": ["16/B374D848"],
    "xid8": ["18446744073709551615"],
    "xid": ["4294967295"],
    "tid": ["(0,1)"],
    "money": ["$1,234.50", "-$92,233,720,368,547,758.08"],
    "jsonpath": ['$."a"[*]'],
    "pg_snapshot": ["10:20:10,14"],
}


def has_xml(connection) -> bool:
    try:
        connection.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


@pytest.mark.parametrize("type_", TEXTS)
def test_what_is_no_number_becomes_the_text_that_postgresql_prints(connection, type_):
    values = TEXTS[type_]
    if type_ == "xml" and not has_xml(connection):
        pytest.skip("this PostgreSQL was built without libxml")
    assert of_type(connection, type_, values) == values
    array = of_type(connection, f"{type_}[]", ["{}", None])
    assert array == [[], None]
    quoted = "{" + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values) + ",NULL}"
    quoted = quoted.replace(",", ";") if type_ == "box" else quoted
    if type_ == "box":  # its arrays are separated by semicolons
        quoted = "{(3,4),(1,2);NULL}"
    assert of_type(connection, f"{type_}[]", [quoted]) == [[*values, None]]


@pytest.mark.postgres(17, "infinite intervals")
def test_an_infinite_interval_becomes_text(connection):
    assert of_type(connection, "interval", ["infinity", "-infinity"]) == ["infinity", "-infinity"]


def test_char_n_keeps_its_padding(connection):
    assert of_type(connection, "char(5)", ["ab"]) == ["ab   "]


def test_booleans_and_bytes(connection):
    assert of_type(connection, "boolean", ["t", "f", None]) == [True, False, None]
    assert of_type(connection, "bytea", ["", "\\x00ff", None]) == [b"", b"\x00\xff", None]


def test_uuids_are_binary_of_subtype_4(connection):
    text = "0190b6f0-1234-7abc-8def-0123456789ab"
    (value,) = of_type(connection, "uuid", [text])
    assert value == Binary.from_uuid(uuid.UUID(text))


INSTANTS = {
    "2026-01-31 12:34:56.789999": datetime(2026, 1, 31, 12, 34, 56, 789000),  # noqa: DTZ001
    "1969-12-31 23:59:59.999999": datetime(1969, 12, 31, 23, 59, 59, 999000),  # noqa: DTZ001
    "0001-01-01 00:00:00": datetime(1, 1, 1),  # noqa: DTZ001
    "9999-12-31 23:59:59.999999": datetime(9999, 12, 31, 23, 59, 59, 999000),  # noqa: DTZ001
}
EXACT = Fields(dates="exact")
FAR = {
    "10000-01-01": DatetimeMS(253402300800000),
    "0001-12-31 BC": DatetimeMS(-62135683200000),
    "4714-11-24 BC": DatetimeMS(-210866803200000),
    "infinity": INFINITY,
    "-infinity": MINUS_INFINITY,
}


@pytest.mark.parametrize("type_", ["timestamp", "timestamptz"])
def test_timestamps_are_floored_to_milliseconds(connection, type_):
    assert of_type(connection, type_, [*INSTANTS, None]) == [*INSTANTS.values(), None]
    assert of_type(connection, f"{type_}[]", ['{{"2026-01-31 12:34:56.789999"},{NULL}}']) == [
        [[next(iter(INSTANTS.values()))], [None]]
    ]


@pytest.mark.parametrize("type_", ["date", "timestamp", "timestamptz"])
def test_instants_that_python_does_not_know(connection, type_):
    assert of_type(connection, type_, list(FAR), EXACT) == list(FAR.values())
    assert of_type(connection, f"{type_}[]", ["{infinity}"], EXACT) == [[INFINITY]]


def test_the_last_days_of_dates(connection):
    assert of_type(connection, "date", ["5874897-12-31", "2026-01-31"], EXACT) == [
        DatetimeMS(((2147483493 - 2451545) + 10957) * 86_400_000),
        datetime(2026, 1, 31),  # noqa: DTZ001
    ]


def test_micros_and_text_keep_microseconds(connection):
    micros = of_type(
        connection, "timestamptz", ["2026-01-31 12:34:56.789999+00", "infinity"], Fields(types={"v": "micros"})
    )
    assert micros == [1769862896789999, 2**63 - 1]
    text = of_type(connection, "timestamptz", ["2026-01-31 12:34:56.789999+00"], Fields(types={"v": "text"}))
    assert text == ["2026-01-31 12:34:56.789999+00"]


def test_jsonb_numbers_are_exact(connection):
    (value,) = of_type(
        connection,
        "jsonb",
        [
            '{"a": 1, "b": 1.5, "c": 0.1234567890123456789, "d": 18446744073709551616, "e": [null, true, "x"], "f": 9223372036854775807, "h": 0.1, "i": {}}'
        ],
    )
    assert value == {
        "a": 1,
        "b": 1.5,
        "c": Decimal128("0.1234567890123456789"),
        "d": Decimal128("18446744073709551616"),
        "e": [None, True, "x"],
        "f": 9223372036854775807,
        "h": 0.1,
        "i": {},
    }


@pytest.mark.parametrize("text", ['{"a": [1, {"b": "\\u00e4"}]}', "null", '"x"', "1e3", "[]", '{"n": -0.0}'])
def test_json_is_native(connection, text):
    assert of_type(connection, "json", [text]) == [json.loads(text)]


def test_jsonb_numbers_beyond_doubles_are_decimals(connection):
    (value,) = of_type(connection, "jsonb", ["[1e400, 1e-400, 12345678901234567890.5]"])
    assert [v.to_decimal() for v in value] == [Decimal("1E400"), Decimal("1E-400"), Decimal("12345678901234567890.5")]


def test_null_and_the_null_of_json_are_one_in_a_document(connection):
    assert of_type(connection, "jsonb", [None, "null"]) == [None, None]


def test_json_that_bson_cannot_hold_is_rejected_by_the_encoder_only(connection):
    for text in ['"\\ud800"', "1" * 40]:
        with pytest.raises(bson.errors.InvalidDocument):
            of_type(connection, "json", [text])


def test_ranges(connection):
    found = of_type(connection, "int4range", ["[1,5)", "empty", "(,3)", None])
    assert found == [
        {"lower": 1, "upper": 5, "bounds": "[)"},
        {"empty": True},
        {"lower": None, "upper": 3, "bounds": "()"},
        None,
    ]
    (decimal,) = of_type(connection, "numrange", ["[1.10,2]"])
    assert decimal == {"lower": Decimal128("1.10"), "upper": Decimal128("2"), "bounds": "[]"}
    (time,) = of_type(connection, "tstzrange", ["[2026-01-31 12:00:00+00,infinity)"], EXACT)
    assert time == {"lower": datetime(2026, 1, 31, 12), "upper": INFINITY, "bounds": "[)"}  # noqa: DTZ001
    assert of_type(connection, "daterange[]", ['{"[2026-01-01,2026-01-02)"}'])[0][0]["bounds"] == "[)"


def test_multiranges(connection):
    found = of_type(connection, "int8multirange", ["{[1,2),[5,7)}", "{}"])
    assert found == [[{"lower": 1, "upper": 2, "bounds": "[)"}, {"lower": 5, "upper": 7, "bounds": "[)"}], []]
    assert of_type(connection, "tsmultirange", ["{(-infinity,infinity)}"], EXACT)[0][0]["lower"] == MINUS_INFINITY


def test_nested_arrays(connection):
    assert of_type(connection, "int[]", ["{{1,2},{3,NULL}}"]) == [[[1, 2], [3, None]]]
    assert of_type(connection, "numeric(5,2)[]", ["{1.1}"]) == [[Decimal128("1.10")]]
    assert of_type(connection, "jsonb[]", ['{"{\\"a\\": 1}"}']) == [[{"a": 1}]]
    assert of_type(connection, "uuid[]", ["{0190b6f0-1234-7abc-8def-0123456789ab}"])[0][0].subtype == 4


def test_domains_are_their_base_type(connection):
    assert of_type(connection, "roundtrip.gross", ["1.1"]) == [Decimal128("1.10")]
    assert of_type(connection, "roundtrip.gross[]", ["{1.1}"]) == [[Decimal128("1.10")]]
    assert of_type(connection, "roundtrip.moments", ["{2026-01-31 12:00+00}"]) == [[datetime(2026, 1, 31, 12)]]  # noqa: DTZ001
    assert of_type(connection, "roundtrip.span", ["[1,2)"]) == [{"lower": 1, "upper": 2, "bounds": "[)"}]
    assert of_type(connection, "roundtrip.moment[]", ["{2026-01-31 12:00+00}"]) == [[datetime(2026, 1, 31, 12)]]  # noqa: DTZ001
    assert of_type(connection, "roundtrip.moment", ["2026-01-31 12:00+00"]) == [datetime(2026, 1, 31, 12)]  # noqa: DTZ001


def test_consented_kinds(connection):
    assert (
        of_type(connection, "numeric", ["0.1234567890123456789", "NaN"], Fields(types={"v": "double"}))[0]
        == 0.12345678901234568
    )
    assert of_type(connection, "numeric", ["5.00"], Fields(types={"v": "long"})) == [5]
    assert of_type(connection, "bigint", ["5"], Fields(types={"v": "decimal"})) == [Decimal128("5")]
    assert of_type(connection, "roundtrip.pair", ["(1,x)"], Fields(types={"v": "json"})) == [{"a": 1, "b": "x"}]
    assert of_type(connection, "roundtrip.pair", ["(1,x)"], Fields(types={"v": "text"})) == ["(1,x)"]
    for kind, text in (("long", "5.5"), ("double", "1e400"), ("long", "1e30")):
        with pytest.raises(bson.errors.InvalidDocument):
            of_type(connection, "numeric", [text], Fields(types={"v": kind}))


def test_computed_fields(connection):
    computed = {
        "n": Computed("id + 1"),
        "t": Computed("now() > '2000-01-01' -- 100%", "boolean"),
        "d": Computed("1.50", "decimal"),
        "j": Computed("ARRAY[1,2]", "json"),
        "at": Computed("'2026-01-31 12:00+00'::timestamptz", "date"),
        "s": Computed("id", "text"),
    }
    connection.execute("DROP TABLE IF EXISTS roundtrip.t")
    connection.execute("CREATE TABLE roundtrip.t (id bigint PRIMARY KEY); INSERT INTO roundtrip.t VALUES (7)")
    entity = Entity(
        "t", TableName("roundtrip", "t"), "t", where="id::text LIKE '%7' -- x", fields=Fields(computed=computed)
    )
    (found,) = documents(connection, Projection(entity, read_shape(connection, "roundtrip.t")), ["7"])
    assert {name: found[name] for name in computed} == {
        "n": 8, "t": True, "d": Decimal128("1.50"), "j": [1, 2], "at": datetime(2026, 1, 31, 12), "s": "7",  # noqa: DTZ001
    }  # fmt: skip


@pytest.mark.parametrize("expression", ["'sad'::roundtrip.mood", "'1 day'::interval", "ARRAY['10.0.0.1'::inet]"])
def test_computed_values_of_a_type_without_a_form_are_rejected_not_guessed(connection, expression):
    connection.execute("DROP TABLE IF EXISTS roundtrip.t")
    connection.execute("CREATE TABLE roundtrip.t (id bigint PRIMARY KEY); INSERT INTO roundtrip.t VALUES (7)")
    entity = Entity("t", TableName("roundtrip", "t"), "t", fields=Fields(computed={"x": Computed(expression)}))
    projection = Projection(entity, read_shape(connection, "roundtrip.t"))
    with pytest.raises(bson.errors.InvalidDocument):
        documents(connection, projection, ["7"])


def test_ranges_of_keys_are_walked_in_order(connection):
    connection.execute("DROP TABLE IF EXISTS roundtrip.t")
    connection.execute("CREATE TABLE roundtrip.t (id bigint PRIMARY KEY)")
    connection.execute("INSERT INTO roundtrip.t SELECT generate_series(1, 20)")
    projection = Projection(Entity("t", TableName("roundtrip", "t"), "t"), read_shape(connection, "roundtrip.t"))
    cursor = connection.cursor(binary=True)
    rows = cursor.execute(range_query(projection, KEY_TEXT), ("8", "15", 5)).fetchall()
    assert rows == [(i, str(i)) for i in range(9, 14)]
    rows = cursor.execute(range_query(projection, KEY_TEXT, after=False, until=False), (2,)).fetchall()
    assert rows == [(1, "1"), (2, "2")]


async def test_async_cursors_reload_what_the_fast_loaders_refuse(postgres):
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        register_loaders(connection.adapters)
        cursor = connection.cursor(binary=True)
        await cursor.execute("SELECT 'infinity'::timestamp, 1.5, now() AT TIME ZONE 'UTC'")
        ((infinite, number, now),) = await fetch_rows(cursor)
    assert (infinite, number) == (INFINITY, Decimal128("1.5"))
    assert abs((datetime.now(UTC).replace(tzinfo=None) - now).total_seconds()) < 3600


def test_catalog_helper_resolves_domains(connection):
    connection.execute("DROP TABLE IF EXISTS roundtrip.t")
    connection.execute("CREATE TABLE roundtrip.t (id bigint PRIMARY KEY, v roundtrip.gross)")
    column = read_shape(connection, "roundtrip.t").column("v")
    assert isinstance(column, Column)
    assert (column.base, column.scale) == ("numeric", 2)
