"""What ``[collections.NAME]`` may say, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncline.config.documents import load_documents
from syncline.errors import ConfigError
from syncline.model.documents import Array, Collection, Field, Inner, Part

WHOLE = """
[collections.labels]
columns = { name = "text" }
[collections.tasks]
table = "app.tasks"
id = "any"
id_column = "id"
rest = "more"
ignore = ["debug"]
order = ["status", "title"]
keep_order = false
indexes = ["title", ["status", "title"]]
[collections.tasks.columns]
title = "text"
status = { type = "text", values = ["open", "done"], enum = "task_status", required = true, default = "open" }
"deferred.until" = { type = "timestamptz", column = "until", null = "null" }
[collections.tasks.arrays.labels]
type = "objectid"
table = "app.task_labels"
column = "label_id"
references = "labels"
no_rows = "empty"
[collections.tasks.arrays.steps]
columns = { "text" = "text" }
rest = ""
[collections.tasks.arrays.steps.arrays.who]
type = "text"
[collections.tasks.objects.owner]
table = "app.owners"
columns.name = { type = "text", unique = true }
"""


def loaded(folder: Path, text: str, env: dict[str, str] | None = None):
    file = folder / "syncline.toml"
    file.write_text(text)
    return load_documents(file, env or {})


def test_every_setting_reaches_the_declaration(tmp_path):
    _, tasks = (mapping.collection for mapping in loaded(tmp_path, WHOLE).mappings)
    assert tasks == Collection(
        "tasks",
        table="app.tasks",
        id="any",
        id_column="id",
        keep_order=False,
        indexes=(("title",), ("status", "title")),
        part=Part(
            columns={
                "title": Field("text"),
                "status": Field("text", values=("open", "done"), enum="task_status", required=True, default="open"),
                "deferred.until": Field("timestamptz", column="until", null="null"),
            },
            arrays={
                "labels": Array(
                    "app.task_labels",
                    value=Field("objectid", column="label_id", references="labels"),
                    no_rows="empty",
                ),
                "steps": Array(part=Part({"text": Field("text")}, arrays={"who": Array(value=Field("text"))}, rest="")),
            },
            objects={"owner": Inner("app.owners", Part({"name": Field("text", unique=True)}))},
            rest="more",
            ignore=("debug",),
            order=("status", "title"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "declares no collection"),
        ('[collections.a]\ntabel = "x"', r"toml:2: unknown setting 'tabel' in \[collections.a\]\n  did you mean 'table'"),
        ('[collections.a]\nid = "oid"', "toml:2: id = 'oid': it must be 'objectid'"),
        ('[collections.a.columns]\nb = "txt"', "b: type = 'txt' is unknown\n  did you mean 'text'"),
        ('[collections.a.columns]\nb = { null = "no" }', "toml:2: null = 'no'"),
        ('[collections.a.arrays.b]\ncolumn = "x"', "an array of documents has no column"),
        ('[collections.a.arrays.b]\ntype = "text"\nrest = "x"', "has no rest"),
        ('[collections.a.columns]\nb = { type = "objectid", references = "c" }', "'c' is no declared collection"),
        ('[collections.a]\nid = "uuid"\ncolumns.b = { type = "text", references = "a" }', "whose `id` is uuid, not text"),
        ('[collections.a]\ntable = "x"\n[collections.b]\ntable = "x"', "the table public.x is a's already"),
        (
            "\n".join(f'[collections.{n}.columns]\ns = {{type = "text", values = ["{n}"], enum = "e"}}' for n in "ab"),
            "s: the type e has other values already",
        ),
        ('[collections.a]\ncolumns.s = {type = "text", enum = "e"}', "is a type without values"),
        ('[collections.a]\ncolumns."x.y" = "text"\ncolumns.x = "text"', "'x' is declared|declared twice"),
    ],
)  # fmt: skip
def test_mistakes_are_said_with_their_place_and_what_to_do(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, text)


DECLARED = '[collections.a]\ncolumns.b = "text"\n'


def test_each_side_is_where_the_file_or_its_variable_says(tmp_path):
    found = loaded(tmp_path, DECLARED, {"MONGODB_URL": "mongodb://h/d", "DATABASE_URL": "postgresql://h/p"})
    assert (found.url("source"), found.url("target")) == ("mongodb://h/d", "postgresql://h/p")
    urls = '[source]\nurl = "${A}"\n[target]\nurl = "${B}"\n'
    found = loaded(tmp_path, urls + DECLARED, {"A": "mongodb://a/d", "B": "postgresql://b/p", "DATABASE_URL": "x"})
    assert (found.url("source"), found.url("target")) == ("mongodb://a/d", "postgresql://b/p")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "no target database"),
        ({"DATABASE_URL": "mongodb://h/d"}, r"`url` in \[target\]: documents go from a MongoDB to a PostgreSQL"),
        ({"DATABASE_URL": "postgresql://h:x/d"}, r"`url` in \[target\]: the port"),
    ],
)
def test_a_side_that_is_not_there_or_of_another_kind_is_refused(tmp_path, env, said):
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, DECLARED, env).url("target")
