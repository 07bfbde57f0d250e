"""What somebody gets wrong on the way from documents to tables: each is said with its place and with what to do."""

from __future__ import annotations

import pytest

from syncline.cli.boundary import COULD_NOT_RUN
from syncline.config.documents import load_documents
from syncline.contrib.django import DocumentDatabases
from syncline.errors import ConfigError, PhaseError
from tests.document_link import DECLARED, DocumentStage
from tests.programs import DOCUMENT_LINKS

COLUMNS = "[collections.tasks.columns]\n"
MISTAKES = {
    "a type that there is not": (COLUMNS + 'title = "txt"', 2, "did you mean 'text'?"),
    "a kind of id that there is not": ('[collections.tasks]\nid = "objectId"', 2, "did you mean 'objectid'?"),
    "a setting that there is not": ("[collections.tasks]\ncolums = {}", 2, "did you mean 'columns'?"),
    "two fields in one column": (COLUMNS + '"a.b" = "text"\na_b = "text"', 3, "another `column`"),
    "a field within a value": (COLUMNS + 'a = "text"\n"a.b" = "text"', 3, "keep one of the two"),
    "a field that is a value and an array": (
        COLUMNS + 'a = "text"\n[collections.tasks.arrays.a]\ntype = "text"',
        3,
        "keep one of the two",
    ),
    "a reference to nothing": (
        COLUMNS + 'n = "text"\nby = { type = "objectid", references = "user" }',
        3,
        "there are tasks",
    ),
    "our field": (COLUMNS + '"_sync.v" = "bigint"', 2, "leave it out"),
    "the key once more": (COLUMNS + '_id = "text"', 2, "leave it out"),
    "our column": (COLUMNS + 'n = "text"\nsync_status = "text"', 3, "another `column`"),
    "the column of the rest": (COLUMNS + 'n = "text"\nrest = "text"', 3, "another `column`"),
    "a default of another type": (COLUMNS + 'n = { type = "integer", default = "x" }', 2, "or leave it out"),
    "a default that is no value": (
        COLUMNS + 'n = { type = "text", values = ["a"], default = "b" }',
        2,
        "add it to them",
    ),
    "values of numbers": (COLUMNS + 'n = { type = "integer", values = ["a"] }', 2, 'type = "text"'),
    "an enum of nothing": (COLUMNS + 'n = { type = "text", enum = "mood" }', 2, "values ="),
    "a table of two": ('[collections.a]\ntable = "t"\n[collections.b]\ntable = "t"', 4, "another `table`"),
    "a table of three parts": ('[collections.a]\ntable = "a.b.c"', 2, "schema.table"),
    "an order of what is not declared": ('[collections.a]\norder = ["b"]\ncolumns = { c = "text" }', 2, "leave it out"),
    "an index of no column": ('[collections.a]\nindexes = ["b"]\ncolumns = { c = "text" }', 2, "there are c,"),
    "what has a place and is ignored": ('[collections.a]\nignore = ["c"]\ncolumns = { c = "text" }', 2, "take it out"),
    "deep in an array": (
        '[collections.a]\n[collections.a.arrays.steps.columns]\nn = "integer"\nwho = "txt"',
        4,
        "did you mean 'text'?",
    ),
    "a text for a table": ('[collections]\ntasks = "text"', 2, "[collections.tasks]"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_wrong_declaration_is_named_with_its_line_and_what_to_do(case, tmp_path):
    text, line, todo = MISTAKES[case]
    file = tmp_path / "syncline.toml"
    file.write_text(text + "\n")
    with pytest.raises(ConfigError) as raised:
        load_documents(file, {})
    assert str(raised.value).startswith(f"{file}:{line}: "), raised.value
    assert todo in str(raised.value)


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    yield made
    made.close()


COMMANDS = {
    "install": ["--yes"],
    "uninstall": ["--yes"],
    "adopt": ["--yes"],
    "parked list": [],
    "copy": [],
    "backfill": [],
    "verify": [],
    "repair": [],
    "explain": ["tasks", "5"],
    "schema check": [],
    "phase check": [],
    "phase advance": ["--force", "--reason", "no"],
    "phase history": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_postgresql_that_is_away_is_named_and_nothing_is_done(command, stage):
    stage.database = "postgresql://postgres@127.0.0.1:1/postgres"
    stage.declare(DECLARED)
    before = stage.mongo.list_collection_names()
    said = stage.call(*command.split(), *COMMANDS[command], status=COULD_NOT_RUN)
    assert "PostgreSQL" in said
    assert "127.0.0.1" in said or "refused" in said
    assert "Traceback" not in said
    assert stage.mongo.list_collection_names() == before


MISFITS = {
    "a table": ("DROP TABLE postgres_labels", "postgres_labels"),
    "a column": ("ALTER TABLE postgres_tasks DROP COLUMN title", "title"),
    "a type that rounds": ("ALTER TABLE postgres_tasks ALTER COLUMN n TYPE numeric(3, 1)", "n"),
    "a type of another kind": ("ALTER TABLE postgres_tasks ALTER COLUMN n TYPE text", "n"),
    "a key": ("ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_pkey", "key"),
    "a column that nobody fills": ("ALTER TABLE postgres_tasks ADD COLUMN owner text NOT NULL", "owner"),
}


@DOCUMENT_LINKS
@pytest.mark.parametrize("what", MISFITS)
def test_tables_that_do_not_fit_are_refused_with_what_mends_them(what, stage):
    statement, named = MISFITS[what]
    stage.make_tables()
    stage.sql(statement)
    said = stage.call("install", "--yes", status=COULD_NOT_RUN)
    assert named in said
    assert "syncline schema" in said


@DOCUMENT_LINKS
def test_a_phase_of_another_release_is_named_and_not_gone_by(stage):
    stage.make_tables()
    stage.call("install", "--yes")
    stage.mongo["syncline_phases"].insert_one(
        {
            "_id": "phases",
            "version": 1,
            "collections": [{"name": "tasks", "phase": "sidereal", "percent": 0.0, "number": 1}],
        }
    )
    said = stage.call("phase", "status", status=COULD_NOT_RUN)
    assert "there is no phase 'sidereal'" in said
    assert "off, dual_write" in said


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"SYNCLINE_PHASE": "lvie"}, "there is no phase 'lvie'"),
        ({"SYNCLINE_PHASE": "ramp", "SYNCLINE_RAMP_PERCENT": "half"}, "is no number from 0 to 100"),
        ({"SYNCLINE_PHASE": "ramp", "SYNCLINE_RAMP_PERCENT": "101"}, "between 0 and 100"),
        ({"DUAL_WRITE_ENABLED": "perhaps"}, "DUAL_WRITE_ENABLED=perhaps"),
    ],
)
def test_a_variable_that_says_no_phase_is_named(env, said, tmp_path):
    file = tmp_path / "syncline.toml"
    file.write_text(DECLARED)
    env |= {"MONGODB_URL": "mongodb://127.0.0.1:1/none", "POSTGRES_HOST": "127.0.0.1", "POSTGRES_NAME": "none"}
    with pytest.raises((ConfigError, PhaseError), match=said):
        DocumentDatabases.from_environment(file, env).phases  # noqa: B018
