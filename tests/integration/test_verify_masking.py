"""A masked value leaves the databases by no way that verification and repair have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from bson import Int64
from typer.testing import CliRunner

from syncline.capture.postgres.install import plan
from syncline.cli.main import app
from syncline.engines.postgres.plans import compile_plans
from syncline.errors import MappingError
from syncline.journal.registry import check, installed
from syncline.model.entity import Computed, Embed, Fields, TableName
from syncline.model.mark import ticket
from syncline.verify import progress
from syncline.verify.one_pass import Pass
from tests.pairs import entity, kinds, paired
from tests.relay import Relay

SECRETS = ["hash-of-the-row", "hash-of-the-document", "row@secret", "document@secret", "pin-of-row", "pin-of-document"]
TABLES = """
CREATE TABLE users (id int PRIMARY KEY, name text, password_hash text, profile jsonb);
CREATE TABLE cards (id int PRIMARY KEY, user_id int, pin text, bank text);
INSERT INTO users SELECT n, 'name ' || n, 'hash-of-the-row', '{"email": "row@secret", "age": 5}' FROM generate_series(1, 40) n;
INSERT INTO cards SELECT n, n, 'pin-of-row', 'bank' FROM generate_series(1, 40) n;
"""
MASK = ("passwordHash", "profile.email", "cards.pin", "label")
USERS = entity(
    "users",
    fields=Fields(naming="camel", computed={"label": Computed("name || password_hash")}),
    embeds=(Embed("cards", TableName("public", "cards"), ("user_id",)),),
    mask=MASK,
)
CONFIG = """naming = "camel"
mask = ["passwordHash", "profile.email", "cards.pin", "label"]
[entities.users.computed]
label = "name || password_hash"
[entities.users.embed.cards]
table = "cards"
on = "user_id"
"""


@pytest.fixture
async def users(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, TABLES, [USERS]) as pair:
        await pair.backfill("users")
        await pair.drain()
        users = pair.docs.users
        users.update_one({"_id": 1}, {"$set": {"passwordHash": "hash-of-the-document", "name": "shown"}})
        users.update_one({"_id": 2}, {"$set": {"profile": {"email": "document@secret", "age": 6}}})
        users.update_one({"_id": 3}, {"$set": {"profile": "document@secret"}})
        users.update_one({"_id": 4}, {"$unset": {"profile": 1}})
        users.update_one({"_id": 5}, {"$set": {"cards.0.pin": "pin-of-document", "cards.0.bank": "other"}})
        users.update_one({"_id": 6}, {"$set": {"cards": []}})
        users.update_one({"_id": 7}, {"$set": {"label": ["hash-of-the-document"], "passwordHash": {"x": SECRETS[1]}}})
        users.update_one({"_id": 8}, {"$set": {"_v": Int64(ticket(900, 1)), "passwordHash": SECRETS[1]}})
        users.delete_one({"_id": 9})
        users.insert_one({"_id": 99, "passwordHash": SECRETS[1]})
        users.insert_one({"_id": "foreign", "passwordHash": SECRETS[1], "profile": {"email": SECRETS[3]}})
        yield pair


def tells(text):
    return [secret for secret in SECRETS if secret in text]


def everything(pair):
    """All that is kept of verification in the source."""
    tables = ("certificate", "notice", "verification", "task")
    return "".join(str(pair.sql(f"SELECT * FROM syncline.{name}")) for name in tables)


async def test_findings_say_that_masked_fields_differ_and_no_more(users):
    report = await users.verify()
    assert tells(repr(report)) == []
    shown = {
        f.key: {d.field: (str(d.source), str(d.target)) for d in f.differences} for f in report.entities[0].findings
    }
    assert shown["1"] == {"passwordHash": ("•••", "•••"), "name": ("name 1", "shown")}
    assert shown["2"] == {"profile.email": ("•••", "•••"), "profile.age": ("5", "6")}
    assert shown["4"]["profile"] == ("{'age': 5, 'email': •••}", "<missing>")
    assert shown["5"] == {"cards.0.pin": ("•••", "•••"), "cards.0.bank": ("bank", "other")}
    assert len(shown) == 11
    assert tells(everything(users)) == []


async def test_what_an_unfinished_pass_keeps_says_nothing(users, monkeypatch):
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0)

    async def killed(self):
        await self._recorder.save(self._place, self._report, self._suspects, seconds=1.0, now=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(Pass, "_conclude", killed)
    users.sql("INSERT INTO users SELECT n, 'name ' || n, 'hash-of-the-row', NULL FROM generate_series(101, 1061) n")
    users.docs.users.delete_one({"_id": 10})
    await users.drain()
    with pytest.raises(KeyboardInterrupt):
        await users.verify(patience=timedelta(seconds=1))
    text = everything(users)
    assert "passwordHash" in text
    assert tells(text) == []


def test_no_command_shows_a_masked_value(users, tmp_path, caplog):
    relay = Relay(
        users.url, [entity("users")], users.target, mongo=(users.mongo_url, users.mongo_db), grace=timedelta(25)
    )
    relay.conn.close()
    file, report = tmp_path / "syncline.toml", tmp_path / "report.jsonl"
    file.write_text(relay.toml() + CONFIG)

    def run(*arguments, status):
        result = CliRunner().invoke(app, ["--debug", *map(str, arguments), "--config", str(file)])
        assert result.exit_code == status, result.output
        assert tells(result.output) == []
        return result.stdout

    assert "profile.email: ••• ≠ •••" in run("verify", status=1)
    assert "$masked" in run("verify", "--json", status=1)
    run("verify", "users", "2", status=1)
    run("verify", "--keys-only", status=1)
    run("verify", "users", "--sample", "40", status=1)
    run("verify", "users", "--from", "1", "--to", "9", "--report", report, status=1)
    assert "$masked" in report.read_text()
    assert tells(report.read_text()) == []
    run("repair", "--dry-run", "--json", status=1)
    run("repair", "--from", report, "--json", status=0)
    assert "left alone" in run("repair", status=1)
    assert tells(everything(users) + caplog.text) == []
    assert users.sql("SELECT count(DISTINCT key) FROM syncline.waiting WHERE hint = 'R'") == [(10,)]


async def test_a_masked_report_repairs_all_the_same(users):
    keys = [key for key in kinds(await users.verify()) if key != "foreign"]
    users.sql(f"SELECT syncline.mark(1::smallint, ARRAY{keys}, 'R')")
    users.docs.users.update_one({"_id": 8}, {"$set": {"_v": Int64(0)}})
    await users.drain()
    assert kinds(await users.verify()) == {"foreign": "foreign"}


@pytest.mark.parametrize(
    ("mask", "hint"),
    [
        ("password_hash", "did you mean 'passwordHash'?"),
        ("profil.email", "did you mean 'profile'?"),
        ("name.first", "its fields: cards, cards.bank, "),
        ("cards.pi", "did you mean 'cards.pin'?"),
    ],
)
async def test_a_mask_that_masks_nothing_is_refused(users, mask, hint):
    declared = replace(USERS, mask=(mask,))
    async with await psycopg.AsyncConnection.connect(users.url, autocommit=True) as connection:
        with pytest.raises(MappingError, match="is no field of its documents") as raised:
            await plan(connection, [declared])
    assert hint in str(raised.value)
    users.plans = (await compile_plans(users.looks, [declared])).by_id  # as when a column is renamed afterwards
    with pytest.raises(MappingError, match="is no field of its documents"):
        await users.verify()


async def test_a_mask_changes_nothing_that_is_installed(users):
    present = await installed(users.looks)
    assert check([replace(USERS, mask=("name",))], present) == []
