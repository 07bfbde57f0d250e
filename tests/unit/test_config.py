"""The configuration: what it becomes, and how it complains."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from psycopg.conninfo import conninfo_to_dict

from syncline.config import load, passwords, redact
from syncline.config.lines import find
from syncline.config.urls import database_of, host_of, place_of, source_url, target_url, with_database, without_pooler
from syncline.errors import ConfigError
from syncline.model.entity import Computed, Embed, Fields, Index, TableName

URLS = {"DATABASE_URL": "postgresql://me:s3cr3t@host/app", "MONGODB_URL": "mongodb://me:s3cr3t@host/app"}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Load a text as ``syncline.toml``."""
    monkeypatch.chdir(tmp_path)

    def read(text="", **env):
        (tmp_path / "syncline.toml").write_text(text)
        return load(None, URLS | env)

    return read


def complaint(settings, text, **env):
    with pytest.raises(ConfigError) as caught:
        settings(text, **env)
    assert "s3cr3t" not in str(caught.value)
    return str(caught.value)


def test_nothing_but_two_urls_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load(None, URLS)
    assert (loaded.target.database, loaded.entities, loaded.file) == ("app", (), None)


def test_durations_are_timedeltas(settings):
    loaded = settings('[worker]\nlease_seconds = 5\n[history]\nkeep = "36h"')
    assert loaded.worker.lease == timedelta(seconds=5)
    assert loaded.history.keep == timedelta(hours=36)


def test_history_can_be_off(settings):
    assert settings('[history]\nkeep = "off"').history.keep is None


def test_a_fixed_batch_size_is_both_bounds(settings):
    assert settings().worker.batch_range == (100, 5000)
    assert settings("[worker]\nbatch_size = 7").worker.batch_range == (7, 7)


def test_settings_are_frozen_and_hide_their_urls(settings):
    loaded = settings()
    with pytest.raises(ValueError, match="frozen"):
        loaded.worker.writers = 3
    assert "s3cr3t" not in repr(loaded) + str(loaded.as_dict())


def test_everything_that_an_entity_declares(settings):
    loaded = settings("""
[entities.order]
table = "shop.orders"
collection = "orders"
key = ["region", "id"]
where = "NOT draft"
exclude = "secret"
rename = { city = "address.city" }
types = { total = "double" }
naming = "camel"
computed.label = "region || id"
[entities.order.computed.weight]
sql = "grams / 1000.0"
type = "double"
[entities.order.embed.lines]
table = "shop.lines"
on = ["order_region", "order_id"]
order_by = "position"
include = ["position", "sku"]
where = "amount > 0"
[[entities.order.indexes]]
keys = ["customer", "-at"]
unique = true
[[entities.order.indexes]]
keys = { text = "text" }
name = "words"
options = { default_language = "german" }
""")
    (order,) = loaded.entities
    assert (order.name, order.table, order.collection) == ("order", TableName("shop", "orders"), "orders")
    assert (order.key, order.where) == (("region", "id"), "NOT draft")
    assert order.fields == Fields(
        exclude=("secret",),
        rename={"city": "address.city"},
        types={"total": "double"},
        naming="camel",
        computed={"label": Computed("region || id"), "weight": Computed("grams / 1000.0", "double")},
    )
    lines = Fields(include=("position", "sku"))
    on = ("order_region", "order_id")
    assert order.embeds == (Embed("lines", TableName("shop", "lines"), on, ("position",), lines, "amount > 0"),)
    assert order.indexes == (
        Index((("customer", 1), ("at", -1)), unique=True),
        Index((("text", "text"),), name="words", options={"default_language": "german"}),
    )


def test_table_and_collection_are_named_like_the_entity(settings):
    (todo,) = settings("[entities.todo]").entities
    assert (todo.table, todo.collection) == (TableName("public", "todo"), "todo")


class TestEnvironment:
    def test_wins_over_the_file(self, settings):
        loaded = settings("[worker]\nbatch_size = 5", SYNCLINE_WORKER__BATCH_SIZE="9", SYNCLINE_SOURCE__WAKE="false")
        assert (loaded.worker.batch_size, loaded.source.wake) == (9, False)

    def test_reaches_into_entities(self, settings):
        env = {"SYNCLINE_ENTITIES__TODO__EXCLUDE": '["a", "b"]', "SYNCLINE_ENTITIES__TODO__COLLECTION": "x"}
        (todo,) = settings("[entities.Todo]", **env).entities
        assert (todo.name, todo.fields.exclude, todo.collection) == ("Todo", ("a", "b"), "x")

    def test_database_url_wins_over_a_url_written_out(self, settings):
        assert settings('[source]\nurl = "postgresql://other/x"').source.url == URLS["DATABASE_URL"]

    def test_a_url_that_names_variables_is_taken_as_written(self, settings):
        loaded = settings('[source]\nurl = "postgresql://me:${PW}@h/${DB}"', PW="p", DB="d")
        assert loaded.source.url == "postgresql://me:p@h/d"

    def test_the_long_name_wins_over_all(self, settings):
        loaded = settings('[source]\nurl = "${DATABASE_URL}"', SYNCLINE_SOURCE__URL="postgresql://long/x")
        assert loaded.source.url == "postgresql://long/x"

    def test_syncline_config_names_the_file(self, tmp_path, settings):
        (tmp_path / "else.toml").write_text("[worker]\nwriters = 4")
        assert settings("", SYNCLINE_CONFIG=str(tmp_path / "else.toml")).worker.writers == 4

    def test_an_sqlalchemy_url_loses_its_driver(self, settings):
        for scheme in ("postgresql+asyncpg", "cockroachdb", "cockroachdb+psycopg"):
            assert settings(DATABASE_URL=f"{scheme}://u@h/d").source.url == "postgresql://u@h/d"


ERRORS = {
    "unknown setting": ("[worker]\nbach_size = 5", 2, "did you mean 'batch_size'?"),
    "unknown section": ("\n[workers]\nbatch_size = 5", 2, "did you mean 'worker'?"),
    "unknown table of tables": ("[log]\n[entites.x]\ntable = 't'", 2, "did you mean 'entities'?"),
    "nothing like it": ("[log]\nxyz = 5", 2, "it has level, format"),
    "wrong type": ('[worker]\n\nwriters = "many"', 3, "writers = 'many': it must be a valid integer"),
    "out of bounds": ("[worker]\nbatch_size = 0", 2, "greater than or equal to 1"),
    "unknown value": ('[source]\ncapture = "trigger"', 2, "did you mean 'triggers'?"),
    "bad seconds": ("[worker]\nlease_seconds = -1", 2, "seconds above 0"),
    "bad duration": ('[history]\nkeep = "7 fortnights"', 2, "such as 7d"),
    "lease too short": ("[worker]\nlease_seconds = 1", 1, "at least twice renew_seconds"),
    "bounds crossed": ("[worker]\nbatch_max = 50", 1, "batch_min (100) is above batch_max (50)"),
    "grace too short": ("[worker]\ngrace_seconds = 15", 2, "must exceed max_batch_age_seconds"),
    "entity's unknown setting": ("[entities.a]\n[entities.b]\ncolection = 'x'", 3, "did you mean 'collection'?"),
    "embed's unknown setting": ("[entities.a.embed.x]\ntable='t'\non='a'\norderby='b'", 4, "did you mean 'order_by'?"),
    "embed without on": ("[entities.a]\n\n[entities.a.embed.x]\ntable = 't'", 3, "'on' is missing"),
    "second index": ("[[entities.a.indexes]]\nkeys='a'\n[[entities.a.indexes]]\nkeys='b'\nuniqe=true", 5, "'unique'?"),
    "index direction": ("[[entities.a.indexes]]\nkeys = {a = 2}", 2, "use 1, -1, text"),
    "index that deletes": ("[[entities.a.indexes]]\nkeys='a'\noptions = {expireAfterSeconds = 5}", 3, "would delete"),
    "index names": ("[[entities.a.indexes]]\nkeys='a'\nname='n'\n[[entities.a.indexes]]\nkeys='b'\nname='n'", 1, "'n'"),
    "two owners": ("[entities.a]\ncollection='c'\n[entities.b]\ncollection='c'", 4, "belongs to the entity 'a'"),
    "control collection": ("[entities.a]\ncollection = '_syncline'", 2, "our control collection"),
    "impossible collection": ("[entities.a]\ncollection = 'a$b'", 2, "no $"),
    "impossible name": ("[entities.'a b']", 1, "cannot name an entity"),
    "strange table": ("[entities.a]\ntable = 'a.b.c'", 2, "schema.table"),
    "in and out": ("[entities.a]\ninclude = ['x']\nexclude = ['x']", 3, "both included and excluded"),
    "key left out": ("[entities.a]\nkey = ['x']\nexclude = ['x']", 3, "part of the key"),
    "one field twice": ("[entities.a]\nrename = {x = 'z', y = 'z'}", 2, "both become 'z'"),
    "unknown kind": ("[entities.a]\ntypes = {x = 'integer'}", 2, "there is no kind 'integer'"),
    "unknown kind of a computed field": ("[entities.a]\ncomputed.x = {sql='1', type='int'}", 2, "there is no kind"),
    "deep value": ("[entities.a]\ninclude = [\n  'x',\n]\ntypes = 5", 5, "it must be a table of settings"),
    "not a table": ("source = 5", 1, "source = 5"),
    "syntax": ("[worker]\nbatch_size = \n", 2, "not valid TOML"),
    "syntax at the end": ("[worker]\nname = 'x", 2, "not valid TOML"),
    "twice": ("[worker]\nwriters = 1\nwriters = 2", 3, "not valid TOML"),
    "unset variable": ("[source]\nurl = '${NOPE}'", 2, "set NOPE"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_each_error_names_its_line_and_what_to_do(settings, case):
    text, line, wanted = ERRORS[case]
    message = complaint(settings, text)
    assert f"syncline.toml:{line}: " in message, message
    assert wanted in message


def test_all_errors_are_reported_at_once(settings):
    assert complaint(settings, "[worker]\nx = 1\ny = 2").count("syncline.toml:") == 2


def test_an_error_from_the_environment_names_the_variable(settings):
    message = complaint(settings, "[worker]\nbatch_size = 5", SYNCLINE_WORKER__BATCH_SIZ="6")
    assert "environment variable SYNCLINE_WORKER__BATCH_SIZ: unknown setting" in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "nowhere.toml", URLS)


def test_no_database_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        load(None, {})


def test_a_file_that_is_not_utf8_names_the_line(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"[worker]\nname = '\xff'\n")
    with pytest.raises(ConfigError, match=r"c\.toml:2: not UTF-8"):
        load(tmp_path / "c.toml", URLS)


def test_a_target_without_a_database_is_refused(settings):
    assert "set `database` in [target]" in complaint(settings, "", MONGODB_URL="mongodb://me:s3cr3t@host")


@pytest.mark.parametrize(
    ("check", "url"),
    [
        (source_url, "mysql://h/d"),
        (source_url, "just text"),
        (source_url, "postgresql://u:p@ss@h/d"),
        (source_url, "postgresql://u:p%zz@h/d"),
        (source_url, "postgresql://h:port/d"),
        (target_url, "http://h/d"),
        (target_url, "mongodb://u:p/w@h/d"),
    ],
)
def test_urls_that_no_driver_should_see(check, url):
    with pytest.raises(ValueError, match=r"expected|percent-encoded|hex digits|port"):
        check(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@/d?host=/tmp/x&port=5",
        "postgresql://u:p%40@h1:1,h2:2/d",
        "postgresql://[::1]:5432/d",
        "postgresql:///d",
    ],
)
def test_urls_that_libpq_knows(url):
    assert source_url(url) == url


@pytest.mark.parametrize(
    ("parameters", "kept"),
    {
        "connection_limit=5&pool_timeout=10&schema=public": "",
        "schema=shop&sslmode=require": "?sslmode=require",
        "pgbouncer=true&connection_limit=1": "?pgbouncer=true",
        "statement_cache_size=0&prepared_statement_cache_size=0&uselibpqcompat=true": "",
        "sslaccept=accept_invalid_certs&sslmode=require": "?sslmode=require",
        "ssl=require": "?sslmode=require",
        "ssl=true&application_name=me": "?ssl=true&application_name=me",
        "host=%2Ftmp&port=6432": "?host=%2Ftmp&port=6432",
        "": "",
    }.items(),
)
def test_parameters_of_other_clients_are_taken_out(parameters, kept):
    assert source_url(f"postgresql+asyncpg://u:p%25@h/d?{parameters}") == f"postgresql://u:p%25@h/d{kept}"


@pytest.mark.parametrize(
    ("parameter", "named"),
    [
        ("pgbuncer=true", "'pgbuncer'"),
        ("sslmod=require", "did you mean 'sslmode'"),
        ("pgbouncer=maybe", "true or false"),
        ("sslaccept=strict", "sslmode=verify-full"),
        ("sslidentity=x", "sslcert"),
        ("sslmode=no-verify", "verify-full"),
        ("currentSchema=x", "with their schema"),
        ("whatever=1", "'whatever'"),
    ],
)
def test_a_parameter_that_nobody_knows_is_named(settings, parameter, named):
    with pytest.raises(ConfigError, match=re.escape(named)) as raised:
        settings(DATABASE_URL=f"postgresql://u:s3cr3t@h/d?{parameter}")
    assert "DATABASE_URL" in str(raised.value)
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("postgresql://h/d?pgbouncer=true", ("postgresql://h/d", True)),
        ("postgresql://h/d?host=%2Fx&pgbouncer=1&port=1", ("postgresql://h/d?host=%2Fx&port=1", True)),
        ("postgresql://h/d?pgbouncer=false", ("postgresql://h/d", False)),
        ("postgresql://h/d", ("postgresql://h/d", False)),
        ("host=/x dbname=pgbouncer=", ("host=/x dbname=pgbouncer=", False)),
    ],
)
def test_a_url_says_that_a_pooler_is_in_between(url, clean):
    assert without_pooler(url) == clean


class TestDirectUrl:
    def test_leads_past_what_the_other_one_says(self, settings):
        loaded = settings(SYNCLINE_DIRECT_URL="postgresql://u@direct/d")
        assert loaded.source.url == "postgresql://u@direct/d"

    def test_may_stand_in_the_file_beside_a_url_that_is_none_of_ours(self, settings):
        loaded = settings(
            '[source]\ndirect_url = "postgresql://u:${PW}@direct/d"', DATABASE_URL="prisma://x", PW="s3cr3t"
        )
        assert loaded.source.url == "postgresql://u:s3cr3t@direct/d"
        assert "s3cr3t" not in str(loaded.as_dict())

    def test_is_checked(self, settings):
        with pytest.raises(ConfigError, match="SYNCLINE_DIRECT_URL: direct_url of the source: a PostgreSQL URL"):
            settings(SYNCLINE_DIRECT_URL="mysql://h/d")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql:///shop?host=/run/pg&port=5433", "postgresql:///new?host=/run/pg&port=5433"),
        ("postgresql://u:p%40@h1,h2:5433/shop", "postgresql://u:p%40@h1,h2:5433/new"),
        ("postgresql://h?dbname=shop&options=-c%20a%3Db", "postgresql://h/new?options=-c%20a%3Db"),
        ("mongodb://h1,h2/shop?replicaSet=r", "mongodb://h1,h2/new?replicaSet=r"),
        ("mongodb://u:p@h/shop", "mongodb://u:p@h/new?authSource=shop"),
        ("mongodb://u:p@h/shop?w=1&authMechanism=SCRAM-SHA-256",
         "mongodb://u:p@h/new?w=1&authMechanism=SCRAM-SHA-256&authSource=shop"),
        ("mongodb://u:p@h/shop?authsource=admin", "mongodb://u:p@h/new?authsource=admin"),
        ("mongodb://u@h/shop?authMechanism=MONGODB-X509", "mongodb://u@h/new?authMechanism=MONGODB-X509"),
        ("mongodb://u:p@h/", "mongodb://u:p@h/new"),
    ],
)  # fmt: skip
def test_another_database_of_a_server_is_reached_as_the_first_one(url, expected):
    assert with_database(url, "new") == expected


@pytest.mark.parametrize("host", ["", "u@"])
def test_the_address_of_a_socket_stays_one_that_libpq_takes(host):
    given = conninfo_to_dict(with_database(f"postgresql://{host}/shop?host=/run/pg", "new"))
    assert (given["host"], given["dbname"]) == ("/run/pg", "new")


def test_parts_of_urls():
    assert database_of("mongodb+srv://u:p@h1,h2/app?x=y") == "app"
    assert host_of("postgresql://u:p@h1:5432/d") == "h1:5432"
    assert host_of("postgresql://u@/d?host=%2Ftmp%2Fx&port=5") == "/tmp/x"


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            "postgresql://me:s3cr3t@host/db",
            "failed: mongodb+srv://me:s3cr3t@a,b/x?retryWrites=true, really",
            "postgresql://me:a/s3cr3t@b@host/db",
            "postgresql://host/db?user=me&password=s3cr3t&sslmode=require",
            "host=x password=s3cr3t user=y",
            "host=x password = 's3cr3t with spaces' user=y",
            "sslpassword=s3cr3t",
            "mongodb://h/?tlsCertificateKeyFilePassword=s3cr3t",
        ],
    )
    def test_are_masked(self, text):
        assert "s3cr3t" not in redact(text)
        assert "***" in redact(text)

    @pytest.mark.parametrize("text", ["postgresql://host:5432/db", "see https://example.org/@x", "a: b@c"])
    def test_what_is_none_stays(self, text):
        assert redact(text) == text

    def test_are_found_as_written_and_decoded(self):
        assert passwords("postgresql://me:p%40ss@h/d") == {"p%40ss", "p@ss"}
        assert passwords("postgresql://h/d?password=abc") == {"abc"}
        assert passwords("postgresql://h/d") == set()


TOML = """\
# a comment
[a]
x = 1
y = [
  1,
  { z = 2 },
]
text = '''
[not.a.table]
x = 5
'''
"quoted key" = 1
[a.b]
c.d = 1
[[a.list]]
k = 1
[[a.list]]
k = 2
[a.list.sub]
m = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 2),
        (("a", "x"), 3),
        (("a", "y"), 4),
        (("a", "y", 1, "z"), 6),
        (("a", "text"), 8),
        (("a", "quoted key"), 12),
        (("a", "b", "c", "d"), 14),
        (("a", "b", "missing"), 13),
        (("a", "list", 0, "k"), 16),
        (("a", "list", 1, "k"), 18),
        (("a", "list", 1, "sub", "m"), 20),
        (("nowhere",), 1),
    ],
)
def test_lines_are_found(path, line):
    assert find(TOML, path) == line, re.escape(str(path))


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({"SYNCLINE_NOPE__X": "1"}, "environment variable SYNCLINE_NOPE__X: unknown setting 'nope'"),
        ({"SYNCLINE_WORKER__NOPE": "1"}, "environment variable SYNCLINE_WORKER__NOPE: unknown setting 'nope'"),
        ({"SYNCLINE_WORKER__GRACE_SECONDS": "1"}, "environment variable SYNCLINE_WORKER__GRACE_SECONDS: grace_seconds"),
        ({"MONGODB_URL": "mongodb://h"}, "environment variable MONGODB_URL: no target database named"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
def test_what_a_variable_has_set_is_named_by_the_variable_and_by_no_file(tmp_path, env, place):
    file = tmp_path / "syncline.toml"
    file.write_text("# a file that says nothing of it\n[log]\nlevel = 'info'\n")
    urls = {"DATABASE_URL": "postgresql://h/d", "MONGODB_URL": "mongodb://h/x"}
    with pytest.raises(ConfigError) as raised:
        load(file, urls | env)
    assert raised.value.message.startswith(place)
    assert "syncline.toml" not in raised.value.message


@pytest.mark.parametrize("written", ["", '[target]\nurl = "${MONGODB_URL}"\n'], ids=["unwritten", "written"])
def test_a_postgresql_in_the_mongodbs_variable_is_one_line(settings, written):
    found = complaint(settings, written, MONGODB_URL="postgresql://me:s3cr3t@host/app")
    assert "a PostgreSQL's URL in MONGODB_URL, where a MongoDB's belongs" in found
    assert "s3cr3t" not in found
    assert len(found.splitlines()) <= 2  # what, and what to do


@pytest.mark.parametrize(
    "urls",
    [
        ("postgresql://me@Host/app", "postgresql://you:p@host:5432/app?sslmode=require"),
        ("postgresql:///app", "postgresql://localhost:5432/app"),
        ("postgresql:///app?host=/run&port=5433", "postgresql://%2Frun:5433/app"),
        ("postgresql://a:5432,b:5432/app", "postgresql:///app?host=b,a&port=5432"),
        ("mongodb://host/app", "mongodb://me:p@host:27017/app?w=majority"),
    ],
)
def test_two_urls_of_one_place_are_seen_as_that(urls):
    assert place_of(urls[0]) == place_of(urls[1])


@pytest.mark.parametrize(
    "urls",
    [
        ("postgresql:///app?host=/run&port=5432", "postgresql:///app?host=/run&port=5433"),
        ("postgresql://host/app", "postgresql://host/other"),
        ("postgresql://host:5432/app", "postgresql://host:5433/app"),
        ("mongodb://host/app", "mongodb://host:27018/app"),
    ],
)
def test_two_places_are_told_apart(urls):
    assert place_of(urls[0]) != place_of(urls[1])


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_no_mistakes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syncline.toml").write_bytes(b"\xef\xbb\xbf[worker]\r\nbatch_size = 7\r\n")
    assert load(None, URLS).worker.batch_size == 7


@pytest.mark.parametrize("section", ["history]\nkeep", "verify]\nperiod"])
def test_a_duration_that_no_database_can_count_back_is_refused(settings, section):
    assert "36500d (100 years) at most" in complaint(settings, f'[{section} = "99999999999w"')
    settings(f'[{section} = "36500d"')


@pytest.mark.parametrize("value", ["2024-01-01", "2024-01-01T10:00:00Z", "inf", "[1, nan]"])
def test_an_index_has_no_options_that_the_source_cannot_remember(settings, value):
    text = f'[entities.todo]\n[[entities.todo.indexes]]\nkeys = ["a"]\noptions = {{ partialFilterExpression = {{ a = {value} }} }}'
    assert "options.partialFilterExpression.a" in complaint(settings, text)
