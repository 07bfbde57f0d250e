"""A document link: both sides of the declared collections, opened."""

from __future__ import annotations

import psycopg
import pytest
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern

from syncline.capture.documents import wrap
from syncline.config.documents import Documents, load_documents
from syncline.documents.opening import opened
from syncline.engines.postgres.documents.definitions import schema
from syncline.errors import ConfigError, SourceUnavailableError, TargetUnavailableError
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

DECLARED = """
[collections.tasks]
id = "any"
[collections.tasks.columns]
title = "text"
[collections.labels]
columns = { name = "text" }
"""
NOBODY = {"MONGODB_URL": "mongodb://%2Fnot%2Fthere.sock/shop", "DATABASE_URL": "postgresql://127.0.0.1:1/shop"}


@pytest.fixture
def declared(tmp_path):
    def declare(env: dict[str, str], text: str = DECLARED) -> Documents:
        (tmp_path / "syncline.toml").write_text(text)
        return load_documents(tmp_path / "syncline.toml", env)

    return declare


async def test_an_open_link_carries_documents(declared, mongo_url, mongo_db, database):
    documents = declared({"MONGODB_URL": mongo_url.replace("/?", f"/{mongo_db}?"), "DATABASE_URL": database})
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in schema(documents.mappings):
            connection.execute(statement)
    async with opened(documents) as link, link.apart() as beside:
        await link.rows.prepare()
        tasks, labels = (wrap(link.database[name]) for name in link.collections)
        await tasks.prepare_marks()
        await labels.prepare_marks()
        await tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(3)])
        await labels.insert_one({"name": "red"})
        assert (await beside.pump().walk()).applied == 4
        assert (await link.pump().walk()).applied == 0
        assert link.mapping("labels") is link.mappings[1]
        with psycopg.connect(database) as connection:
            found = connection.execute("SELECT mongo_id, title FROM postgres_tasks ORDER BY 2").fetchall()
        assert [title for _, title in found] == ["t0", "t1", "t2"]


async def test_a_link_opens_while_both_sides_are_away_and_each_is_named_where_it_is_used(declared, monkeypatch):
    monkeypatch.setattr("syncline.documents.opening.CONNECT_SECONDS", 0.1)  # a socket's file: PyMongo leaves none open
    async with opened(declared(NOBODY)) as link:
        with pytest.raises(TargetUnavailableError):
            await link.rows.number()
        with pytest.raises(SourceUnavailableError):
            await anext(link.source.pages("tasks", 1))


async def test_a_link_reads_what_stays_whatever_the_url_says(declared):
    url = "mongodb://127.0.0.1:1/shop?readPreference=secondary&readConcernLevel=local"
    async with opened(declared({**NOBODY, "MONGODB_URL": url})) as link:
        collection = link.database["tasks"]
        assert (collection.read_preference, collection.read_concern) == (
            ReadPreference.PRIMARY,
            ReadConcern("majority"),
        )


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "no source database"),
        ({"MONGODB_URL": NOBODY["MONGODB_URL"]}, "no target database"),
        ({"MONGODB_URL": NOBODY["DATABASE_URL"], "DATABASE_URL": NOBODY["MONGODB_URL"]}, "from a MongoDB to a"),
        ({**NOBODY, "MONGODB_URL": "mongodb://127.0.0.1:1"}, "names no database"),
        ({**NOBODY, "MONGODB_URL": "mongodb://127.0.0.1:1/shop?tlsCAFile=/not/there&tls=true"}, "usable MongoDB URL"),
    ],
)
async def test_urls_that_cannot_be_used_are_said(declared, env, said):
    with pytest.raises(ConfigError, match=said):
        async with opened(declared(env)):
            pass
