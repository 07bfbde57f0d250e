"""What the doctor says of a PostgreSQL that is a target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.model.fitting import fits
from tests import engines
from tests.copies import Copy

TABLE = "CREATE TABLE item (id int PRIMARY KEY, code varchar(20), size numeric(8,2), note text)"
TRIGGER = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    " CREATE TRIGGER mine BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION f();"
)


@pytest.fixture
def copy(postgres, database, tmp_path: Path) -> Iterator[Copy]:
    with engines.fresh_database(postgres.url) as other:
        made = Copy(database, other, tmp_path)
        made.both(TABLE)
        made.configure("item")
        yield made
        made.close()


def of_target(copy: Copy) -> dict[str, tuple[str, str]]:
    """Give the findings of the target's checks, by the check's name: level and message."""
    found = copy.run("doctor", "--json")
    assert found.exit_code in {0, 1, 2}, found.output
    of_it = ("target", "suitability", "durability", "owner", "restore")
    findings = copy.json("doctor", status=found.exit_code)["findings"]
    return {f["check"]: (f["level"], f["message"]) for f in findings if f["check"].startswith(of_it)}


def test_a_target_in_order_is_said_to_be_so(copy: Copy) -> None:
    copy("install", "--yes")
    found = of_target(copy)
    assert {*found} == {"target", "suitability", "durability", "target tables", "target columns", "owner", "restore"}
    levels = {name: level for name, (level, _) in found.items() if name != "durability"}  # test servers have no fsync
    assert {*levels.values()} == {"ok"}


@pytest.mark.parametrize(
    ("ddl", "check", "level", "says"),
    [
        (TRIGGER, "target triggers", "warning", "triggers of its own: mine"),
        (TRIGGER + "ALTER TABLE item ENABLE ALWAYS TRIGGER mine", "target triggers", "warning", "mine"),
        ("CREATE RULE r AS ON DELETE TO item DO INSTEAD NOTHING", "target rules", "warning", "rules of its own: r"),
        ("ALTER TABLE item SET UNLOGGED", "target tables", "critical", "UNLOGGED: public.item"),
        ("ALTER TABLE item SET (autovacuum_enabled = false)", "target autovacuum", "warning", "off for public.item"),
        ("ALTER TABLE item DROP CONSTRAINT item_pkey", "suitability", "critical", "public.item in the target has no primary key"),
        ("DROP TABLE item", "suitability", "critical", "the target has no table public.item"),
        ("ALTER TABLE item DROP note", "target columns", "critical", "lacks note"),
        ("ALTER TABLE item ADD more int NOT NULL", "target columns", "critical", "more NOT NULL without a default"),
        ("ALTER TABLE item ALTER note SET NOT NULL", "target columns", "warning", "note NOT NULL, and the source may"),
        ("ALTER TABLE item ALTER code TYPE varchar(10)", "target types", "warning", "code (character varying(20) here"),
        ("ALTER TABLE item ALTER size TYPE int", "target types", "warning", "size (numeric(8,2) here, integer there)"),
    ],
)  # fmt: skip
def test_what_would_go_wrong_is_named_with_what_mends_it(
    copy: Copy, ddl: str, check: str, level: str, says: str
) -> None:
    copy("install", "--yes")
    copy.there.execute(ddl)
    found = of_target(copy)
    assert found[check][0] == level
    assert says in found[check][1]


@pytest.mark.parametrize(
    "ddl",
    [
        TRIGGER + "ALTER TABLE item ENABLE REPLICA TRIGGER mine",
        "ALTER TABLE item ALTER id TYPE bigint, ALTER code TYPE text, ALTER size TYPE numeric",
        "ALTER TABLE item ADD more int NOT NULL DEFAULT 5, ADD n bigint GENERATED ALWAYS AS IDENTITY",
    ],
)
def test_what_does_no_harm_is_not_named(copy: Copy, ddl: str) -> None:
    copy("install", "--yes")
    copy.there.execute(ddl)
    levels = {level for name, (level, _) in of_target(copy).items() if name != "durability"}
    assert levels == {"ok"}


def test_a_target_that_is_away_is_one_finding(copy: Copy) -> None:
    copy("install", "--yes")
    copy.configure("item", target='url = "postgresql://u@127.0.0.1:1/none"\nconnect_timeout_seconds = 1\n')
    (found,) = of_target(copy).values()
    assert found[0] == "critical"
    assert "PostgreSQL cannot be reached" in found[1]


@pytest.mark.parametrize(
    ("source", "target", "answer"),
    [
        ("integer", "integer", True),
        ("integer", "bigint", True),
        ("bigint", "integer", False),
        ("character varying(20)", "character varying(20)", True),
        ("character varying(20)", "character varying(30)", True),
        ("character varying(30)", "character varying(20)", False),
        ("character varying", "character varying(20)", False),
        ("character varying(20)", "text", True),
        ("text", "character varying(20)", False),
        ("numeric(8,2)", "numeric(10,2)", True),
        ("numeric(8,2)", "numeric(8,4)", False),
        ("numeric(8,2)", "numeric", True),
        ("numeric", "double precision", False),
        ("timestamp(6) with time zone", "timestamp(0) with time zone", False),
        ("public.mood", "public.mood", True),
        ("public.mood", "text", False),
    ],
)
def test_types_that_take_every_value(source: str, target: str, answer: bool) -> None:
    assert fits(source, target) is answer
