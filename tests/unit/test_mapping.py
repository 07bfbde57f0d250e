from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import bson
import pytest
from bson.decimal128 import Decimal128

from syncline.errors import MappingError
from syncline.model.entity import Computed, Embed, Entity, Fields, TableName
from syncline.model.fields import camel
from syncline.model.mapping import Projection
from syncline.model.values import Unrepresentable
from tests.shapes import column, shape

NOW = datetime(2026, 1, 1)  # noqa: DTZ001
META = {"source": "postgresql", "synced_at": NOW, "ticket": 7}
TABLE = shape(
    column("id"),
    column("user_id"),
    column("full_name", "text", "text"),
    column("price", "numeric", "numeric"),
)
CHILD = shape(column("id"), column("thing_id"), column("sku_code", "text", "text"), name="parts")
EMBED = Embed("parts", CHILD.table, ("thing_id",))


def project(table=TABLE, children=(CHILD,), embeds=(), key=(), **fields) -> Projection:
    entity = Entity("things", TABLE.table, "things", key=key, fields=Fields(**fields), embeds=embeds)
    return Projection(entity, table, {child.table: child for child in children})


def test_a_flat_row_becomes_a_flat_document():
    (found,) = project().documents([(1, 2, "Ada", None, "1")], **META)
    assert found == {
        "_id": 1, "user_id": 2, "full_name": "Ada", "price": None,
        "_originalId": "1", "_source": "postgresql", "_syncedAt": NOW, "_v": 7,
    }  # fmt: skip
    assert list(found)[-2:] == ["_syncedAt", "_v"]


def test_the_key_is_a_field_too_when_it_is_asked_for():
    assert [s.field for s in project(include=("id", "price")).selected] == ["id", "price"]
    assert [s.field for s in project(include=("price",)).selected] == ["price"]


def test_dotted_names_nest_and_null_stays_null():
    found = project(rename={"user_id": "owner.id", "full_name": "owner.name.full"}).documents(
        [(1, 2, None, None, "1")], **META
    )
    assert found[0]["owner"] == {"id": 2, "name": {"full": None}}
    assert list(found[0]) == ["_id", "owner", "price", "_originalId", "_source", "_syncedAt", "_v"]


def test_camel_naming_leaves_renamed_fields_alone():
    assert project(naming="camel", rename={"price": "unit_price"}).names[1:4] == ("userId", "fullName", "unit_price")
    assert [camel(n) for n in ("user_id", "_x_y", "a__b", "a1_2b", "already", "trailing_")] == [
        "userId", "_xY", "aB", "a12b", "already", "trailing_",
    ]  # fmt: skip


def test_composite_ids_are_documents_in_key_order():
    table = shape(column("b", "text", "text"), column("a"), column("n"), key=("a", "b"))
    (found,) = project(table).documents([(1, "x", "x", 1, 5, '["1", "x"]')], **META)
    assert found["_id"] == {"a": 1, "b": "x"}
    assert (found["a"], found["b"], found["n"]) == (1, "x", 5)


def test_embedded_rows_are_grouped_by_their_parent():
    projection = project(embeds=(EMBED,))
    rows = [(1, 2, "Ada", None, "1"), (2, 2, "Bob", None, "2")]
    found = projection.documents(rows, [[("1", 10, "x"), ("1", 11, "y")]], **META)
    assert [d["parts"] for d in found] == [[{"id": 10, "sku_code": "x"}, {"id": 11, "sku_code": "y"}], []]


def test_converted_values_and_their_failures():
    projection = project(types={"price": "long"})
    found = projection.documents([(1, 2, "x", "5", "1"), (2, 2, "x", "5.5", "2"), (3, 2, "x", None, "3")], **META)
    assert [d["price"] for d in found][::2] == [5, None]
    assert isinstance(found[1]["price"], Unrepresentable)
    with pytest.raises(bson.errors.InvalidDocument, match="not an integer"):
        bson.encode(found[1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rename": {"user_id": "price"}}, "filled twice"),
        ({"rename": {"user_id": "price.x"}}, "filled twice"),
        ({"rename": {"price": "full_name.x"}}, "filled twice"),
        ({"rename": {"price": "_v"}}, "reserved"),
        ({"rename": {"price": "_id.x"}}, "reserved"),
        ({"rename": {"price": "$x"}}, "not a field name"),
        ({"rename": {"price": "a..b"}}, "not a field name"),
        ({"rename": {"nope": "x"}}, "no column 'nope'"),
        ({"include": ("nope",)}, "no column 'nope'"),
        ({"types": {"full_name": "long"}}, "silent loss"),
        ({"types": {"full_name": "varchar"}}, "no kind 'varchar'"),
        ({"computed": {"x": Computed("1", "range")}}, "cannot be"),
        ({"computed": {"price": Computed("1")}}, "filled twice"),
        ({"naming": "snake"}, "naming"),
    ],
)
def test_mappings_that_would_lose_or_mix_up_fields_are_refused(fields, message):
    with pytest.raises(MappingError, match=message):
        project(**fields)


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (replace(EMBED, on=("thing_id", "id")), "does not match"),
        (replace(EMBED, on=("nope",)), "no column"),
        (replace(EMBED, on=("sku_code",)), "parent's id is bigint"),
        (replace(EMBED, order_by=("nope",)), "no column"),
        (replace(EMBED, field="price"), "filled twice"),
        (replace(EMBED, table=TableName("public", "gone")), "no table"),
    ],
)
def test_embeds_that_do_not_fit_are_refused(embed, message):
    with pytest.raises(MappingError, match=message):
        project(embeds=(embed,))


def test_an_array_needs_an_order():
    with pytest.raises(MappingError, match="no primary key to order by"):
        project(children=(replace(CHILD, primary_key=()),), embeds=(EMBED,))


def test_unknown_types_name_table_column_type_and_the_way_out():
    table = shape(column("id"), column("geo", "geometry(Point)", "geometry"))
    with pytest.raises(MappingError) as caught:
        project(table)
    assert "public.things.geo: type geometry(Point)" in str(caught.value)
    assert 'types = { geo = "text" }' in str(caught.value)
    assert project(table, types={"geo": "json"}).selected[0].form.value == "jsonb"
    assert project(table, exclude=("geo",)).selected == ()


def test_columns_in_neither_list_are_reported():
    assert project(include=("price",), exclude=("user_id",)).unmapped == ("full_name",)
    assert project(exclude=("user_id",)).unmapped == ()


def test_an_excluded_column_that_is_gone_is_named_and_stops_nothing():
    assert project(exclude=("newsletter", "price")).gone == ("newsletter",)


def test_the_fingerprint_follows_shape_and_mapping_and_nothing_else():
    first = project().fingerprint
    assert project().fingerprint == first
    assert project(replace(TABLE, estimated_rows=9, oid=99)).fingerprint == first
    assert project(replace(TABLE, columns=(*TABLE.columns, column("new")))).fingerprint != first
    assert project(exclude=("price",)).fingerprint != first


def test_values_are_not_copied_on_the_flat_path():
    price = Decimal128("1.10")
    (found,) = project().documents([(1, 2, "x", price, "1")], **META)
    assert found["price"] is price
