"""``syncline backup``: taken, listed, verified, restored and rehearsed; whatever is damaged or half is found."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.embedded.postgres import PrivatePostgres
from syncline.split.backup.manifest import Contents, Manifest
from syncline.split.backup.shelf import outdated
from tests import bouncer, programs
from tests.engines import fresh_database

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE SCHEMA ops;
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, mood mood, at timestamptz DEFAULT now(),
    score float8, tags text[], doc jsonb, raw bytea, up text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE ops."odd "" name" (a int, "syncline_row" text);
CREATE TABLE empty ();
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SEQUENCE down INCREMENT -1;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noted BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE users ENABLE ALWAYS TRIGGER noted;
CREATE VIEW names AS SELECT name FROM users;
INSERT INTO users (name, mood, score, tags, doc, raw) SELECT 'n' || i, 'ok', i / 3.0, ARRAY['a', NULL], '{"a": 1}', '\\x00ff'
    FROM generate_series(1, 300) AS i;
INSERT INTO ops."odd "" name" VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
INSERT INTO parts SELECT i, '2026-05-05' FROM generate_series(1, 10) AS i;
SELECT nextval('down'), nextval('down');
"""
ENCRYPTION = """
encrypt = "openssl enc -aes-256-cbc -pbkdf2 -pass file:{key}"
decrypt = "openssl enc -d -aes-256-cbc -pbkdf2 -pass file:{key}"
"""
ELSEWHERE = """
put = "{python} {store} put {{name}}"
get = "{python} {store} get {{name}}"
list = "{python} {store} list"
remove = "{python} {store} remove {{name}}"
"""
STORE = """
import pathlib, shutil, sys
folder = pathlib.Path({folder!r})
folder.mkdir(exist_ok=True)
what, *names = sys.argv[1:]
if what == "put":
    with (folder / names[0]).open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
elif what == "get":
    shutil.copyfileobj((folder / names[0]).open("rb"), sys.stdout.buffer)
elif what == "list":
    print(*sorted(one.name for one in folder.iterdir()), sep="\\n")
else:
    (folder / names[0]).unlink()
"""


def binaries(server: PrivatePostgres) -> Path:
    """Find programs whose dumps the server under test can restore, or skip, aloud."""
    found, here = programs.program("pg_dump").parent, programs.server_major() or 0
    major = programs.major(found) if (found / "postgres").exists() else 0
    if here < 17 <= (major or here):
        pytest.skip(f"pg_dump {major}: PostgreSQL {here} cannot restore its dumps")
    return found


@dataclass
class Site:
    """A folder with a configuration, a database with rows, and the command."""

    home: Path
    url: str
    programs: Path
    env: dict[str, str] = field(default_factory=dict)

    def configure(self, more: str = "", **settings: Any) -> None:
        given = {"programs": str(self.programs), "jobs": 2, **settings}
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
        (self.home / "syncline.toml").write_text("[backup]\n" + "\n".join(lines) + "\n" + more)

    @property
    def kept(self) -> list[str]:
        folder = self.home / "backups"
        return sorted(one.name for one in folder.iterdir()) if folder.exists() else []

    def run(self, *arguments: str, status: int = 0, **env: str) -> str:
        config = ("--config", str(self.home / "syncline.toml"))
        given = {"DATABASE_URL": self.url, **self.env, **env}
        done = CliRunner().invoke(app, ["backup", arguments[0], *config, *arguments[1:]], env=given)
        assert done.exit_code == status, done.output
        return done.output

    def json(self, *arguments: str, status: int = 0, **env: str) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status, **env))

    def ask(self, query: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(query)


@pytest.fixture
def site(tmp_path: Path, database: str, postgres: PrivatePostgres) -> Site:
    made = Site(tmp_path, database, binaries(postgres))
    made.configure()
    made.ask(SCHEMA)
    return made


@pytest.fixture
def target(postgres: PrivatePostgres) -> Iterator[str]:
    with fresh_database(postgres.url) as url:
        yield url


def encrypted(site: Site, more: str = "") -> None:
    (site.home / "key").write_text("secret")
    site.configure(ENCRYPTION.format(key=site.home / "key") + more)


def elsewhere(site: Site) -> str:
    (site.home / "store.py").write_text(STORE.format(folder=str(site.home / "remote")))
    return ELSEWHERE.format(python=sys.executable, store=site.home / "store.py")


def test_a_backup_is_taken_listed_verified_and_restored_with_equal_contents(site: Site, target: str):
    taken = site.json("create")
    assert (taken["rows"], taken["tables"], taken["database"]) == (313, 4, "primary")
    assert site.kept == [taken["name"] + ".json", taken["name"] + ".tar"]
    assert [one["name"] for one in site.json("list")["backups"]] == [taken["name"]]
    assert site.json("verify")["damage"] is None
    done = site.json("restore", RESTORE_DATABASE_URL=target)
    assert (done["differences"], done["rows"]) == ([], 313)
    with psycopg.connect(target) as connection:
        assert connection.execute("SELECT count(*), max(up) FROM users").fetchone() == (300, "N99")
        assert connection.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'noted'").fetchone() == ("A",)


def test_what_is_committed_while_it_is_dumped_is_not_in_it(site: Site, target: str):
    """The digests are of the dump's own snapshot: a writer beside it makes no difference."""
    code = (
        "import psycopg, sys, itertools\n"
        f"with psycopg.connect({site.url!r}, autocommit=True) as connection:\n"
        "    for i in itertools.count():\n"
        "        connection.execute(\"INSERT INTO users (name) VALUES ('w' || gen_random_uuid())\")\n"
        "        if i == 5: print('writing', flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        site.json("create")
    finally:
        writer.kill()
        writer.communicate()
    assert site.json("restore", RESTORE_DATABASE_URL=target)["differences"] == []


@pytest.mark.parametrize("other", [False, True], ids=["its own server", "another server"])
def test_a_rehearsal_restores_into_a_scratch_database_compares_and_drops_it(site: Site, other: bool):
    site.run("create", "-d", "data")
    assert "there is no backup in" in site.run("rehearse", "-d", "primary", status=3)
    server = ("--server", "REHEARSALS") if other else ()
    done = site.json("rehearse", "-d", "data", *server, REHEARSALS=site.url)
    assert done["differences"] == []
    assert done["place"].startswith("syncline_rehearsal_")
    assert set(done["seconds"]) == {"read", "restore", "compare"}
    with psycopg.connect(site.url) as connection:
        query = "SELECT count(*) FROM pg_database WHERE datname LIKE 'syncline_rehearsal_%'"
        assert connection.execute(query).fetchone() == (0,)


def test_a_rehearsal_that_fails_drops_the_scratch_database_too(site: Site):
    site.run("create")
    fake(site, "pg_restore", '[ "$1" = --version ] && exec {real} "$@"\necho "pg_restore: error: broken" >&2; exit 1')
    assert "pg_restore failed: pg_restore: error: broken" in site.run("rehearse", status=3)
    with psycopg.connect(site.url) as connection:
        query = "SELECT count(*) FROM pg_database WHERE datname LIKE 'syncline_rehearsal_%'"
        assert connection.execute(query).fetchone() == (0,)


def test_it_leaves_the_machine_encrypted_and_is_read_back_from_there(site: Site, target: str):
    encrypted(site, elsewhere(site))
    taken = site.json("create")
    assert site.kept == []
    assert taken["encrypted"]
    stored = (site.home / "remote" / taken["archive"]).read_bytes()
    assert b"toc.dat" not in stored
    assert len(stored) == taken["size"]
    assert site.json("list")["backups"][0]["archive"] == taken["archive"]
    assert site.json("verify")["damage"] is None
    assert site.json("restore", RESTORE_DATABASE_URL=target)["differences"] == []


@pytest.mark.parametrize("how", ["a byte", "cut short", "longer", "another one"])
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_an_archive_that_was_tampered_with_is_found(site: Site, how: str, is_encrypted: bool):
    if is_encrypted:
        encrypted(site)
    taken = site.json("create")
    path = site.home / "backups" / taken["archive"]
    data = bytearray(path.read_bytes())
    if how == "a byte":
        data[len(data) // 2] ^= 1
    elif how == "cut short":
        del data[-2000:]
    elif how == "longer":
        data += b"\0" * 512
    else:
        data = bytearray(data[:512]) + data[1024:]
    path.write_bytes(data)
    status = 1 if not is_encrypted else (1, 3)  # a cipher may notice first
    done = CliRunner().invoke(
        app, ["backup", "verify", "--config", str(site.home / "syncline.toml")], env={"DATABASE_URL": site.url}
    )
    assert done.exit_code in ((status,) if isinstance(status, int) else status), done.output


def test_a_manifest_that_was_tampered_with_is_found(site: Site):
    encrypted(site)
    taken = site.json("create")
    path = site.home / "backups" / f"{taken['name']}.json"
    text = path.read_text()
    path.write_text(text.replace('"database": "primary"', '"database": "other"'))
    assert "the manifest was changed" in site.run("list", status=1)
    forged = Manifest.read(text.encode(), "x")
    tables = {**forged.contents.tables, "public.users": (299, "1 1")}
    changed = Contents(tables, forged.contents.sequences, forged.contents.objects)
    fields = {name: getattr(forged, name) for name in Manifest.__slots__}
    path.write_bytes(Manifest(**{**fields, "contents": changed}).write())  # with the right checksum
    assert "it is not the manifest of what" in site.json("verify", status=1)["damage"]


def test_the_wrong_key_is_said(site: Site, target: str):
    encrypted(site)
    site.run("create")
    (site.home / "key").write_text("another")
    said = site.run("verify", status=3)
    assert "decrypt (openssl) failed" in said
    assert str(site.home / "key") not in said  # arguments may hold secrets
    assert "decrypt (openssl) failed" in site.run("restore", status=3, RESTORE_DATABASE_URL=target)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('encrypt = "false"\ndecrypt = "cat"', "encrypt (false) failed (1)"),
        ('encrypt = "no-such-program-here x"\ndecrypt = "cat"', "encrypt (no-such-program-here) cannot be run"),
        ('encrypt = "sh -c \'cat > /dev/full\'"\ndecrypt = "cat"', "No space left on device"),
        (
            'put = "sh -c \'cat > /dev/full\' {name}"\nget = "cat {name}"\nlist = "true"\nremove = "true {name}"',
            "put (sh) failed",
        ),
    ],
)
def test_a_command_that_fails_leaves_no_backup(site: Site, setting: str, told: str):
    site.configure(setting)
    assert told in site.run("create", status=3)
    assert site.kept == []


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('encrypt = "cat"', "encrypt and decrypt go together"),
        ('put = "cat {name}"', "missing: get, list, remove"),
        ('put = "cat"\nget = "cat {name}"\nlist = "ls"\nremove = "rm {name}"', "{name} must stand"),
        ("keep = 0", "keep"),
    ],
)
def test_a_configuration_that_cannot_be_read_back_is_refused(site: Site, setting: str, told: str):
    site.configure(setting)
    assert told in site.run("list", status=3)


def fake(site: Site, name: str, script: str) -> None:
    """Put a program of a user's in the place of one of PostgreSQL's."""
    folder = site.home / "bin"
    folder.mkdir(exist_ok=True)
    for one in ("pg_dump", "pg_restore"):
        real = shlex.quote(str(site.programs / one))
        body = script.format(real=real) if one == name else f'exec {real} "$@"'
        (folder / one).write_text(f"#!/bin/sh\n{body}\n")
        (folder / one).chmod(0o755)
    site.programs = folder
    site.configure()


def test_a_full_disk_in_the_middle_of_the_dump_leaves_nothing(site: Site):
    fake(site, "pg_dump", '[ "$1" = --version ] && exec {real} "$@"\nulimit -f 1\nexec {real} "$@"')
    site.ask(
        "CREATE TABLE wide AS SELECT i, gen_random_uuid() || '' || gen_random_uuid() FROM generate_series(1, 3000) i"
    )
    said = site.run("create", status=3)
    assert "pg_dump" in said
    assert "nothing has been kept of it" in said
    assert site.kept == []
    assert "there is no backup" in site.run("list", status=1)


def test_an_old_or_missing_pg_dump_is_said(site: Site):
    fake(site, "pg_dump", 'echo "pg_dump (PostgreSQL) 9.6.1"')
    assert "is version 9, and primary is PostgreSQL" in site.run("create", status=3)
    site.configure(programs=str(site.home))
    assert f"there is no pg_dump in {site.home}" in site.run("create", status=3)


HANGS = '[ "$1" = --version ] && exec {real} "$@"\n{real} "$@" || exit 1\necho $$ > HERE.new\nmv HERE.new HERE\nexec sleep 600'


@contextlib.contextmanager
def begun(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a backup whose pg_dump has written all, and does not end."""
    hangs = site.home / "hangs"
    fake(site, "pg_dump", HANGS.replace("HERE", str(hangs)))
    command = [sys.executable, "-m", "syncline.cli.main", "backup", "create"]
    env = {**os.environ, "DATABASE_URL": site.url}
    config = ["--config", str(site.home / "syncline.toml")]
    process = subprocess.Popen([*command, *config], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not hangs.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(hangs.read_text()), signal.SIGKILL)
        process.kill()
        process.communicate()


def test_a_killed_backup_is_never_listed_and_cleaned_up_behind(site: Site):
    real = site.programs
    with begun(site) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert [one for one in site.kept if one.startswith(".partial-")]
        assert "there is no backup" in site.run("list", status=1)
    site.programs = real
    site.configure()
    taken = site.json("create")
    assert site.kept == [taken["name"] + ".json", taken["name"] + ".tar"]


def test_one_that_is_being_made_is_left_alone(site: Site):
    real = site.programs
    with begun(site) as process:
        name = site.kept[0]
        site.programs = real
        site.configure()
        time.sleep(1.1)  # names are by the second
        site.run("create")
        assert name in site.kept
        assert process.poll() is None


def test_a_terminated_backup_leaves_nothing(site: Site):
    with begun(site) as process:
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.returncode == 130
        assert site.kept == []


def test_an_archive_without_its_manifest_or_the_other_way_round_is_no_backup(site: Site):
    one = site.json("create")
    folder = site.home / "backups"
    (folder / f"{one['name']}.json").rename(site.home / "manifest")
    listed = site.json("list", status=1)
    assert (listed["backups"], len(listed["broken"])) == ([], 1)
    (site.home / "manifest").rename(folder / f"{one['name']}.json")
    (folder / one["archive"]).unlink()
    assert "is missing" in site.run("list", status=1)
    assert "is missing" in site.run("restore", one["name"], status=3)


def test_a_target_that_is_not_empty_is_refused_unless_it_is_named(site: Site, target: str):
    site.run("create")
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id int); CREATE TABLE precious (id int)")
        name = connection.info.dbname
    assert "is not empty" in site.run("restore", status=3, RESTORE_DATABASE_URL=target)
    assert "not other" in site.run("restore", "--replace", "other", status=3, RESTORE_DATABASE_URL=target)
    done = site.json("restore", "--replace", name, status=1, RESTORE_DATABASE_URL=target)
    assert set(done["differences"]) == {"table public.precious is new", "columns of public.precious is new"}


def test_rows_that_a_restore_has_changed_are_found(site: Site, target: str):
    """A restore that ends without an error and is not equal: here a trigger of the target's changes rows."""
    site.run("create")
    sabotage = (
        "import psycopg, sys\nwith psycopg.connect(sys.argv[1], autocommit=True) as c:\n"
        "    c.execute(\"UPDATE users SET name = 'x' WHERE id = 7; DELETE FROM parts WHERE id = 3; DROP TRIGGER noted ON users\")"
    )
    (site.home / "sabotage.py").write_text(sabotage)
    fake(
        site,
        "pg_restore",
        '[ "$1" = --version ] && exec {real} "$@"\n{real} "$@" || exit 1\n'
        f"exec {sys.executable} {site.home}/sabotage.py '{target}'",
    )
    done = site.json("restore", status=1, RESTORE_DATABASE_URL=target)
    assert done["differences"] == [
        "table public.parts_1 has 9 rows, and had 10",
        "table public.users has other rows",
        "trigger public.users.noted is missing",
    ]


def test_a_restore_that_fails_says_that_the_target_is_half_restored(site: Site, target: str):
    site.run("create")
    fake(
        site,
        "pg_restore",
        '[ "$1" = --version ] && exec {real} "$@"\necho "pg_restore: error: role \\"app\\" does not exist" >&2; exit 1',
    )
    said = site.run("restore", status=3, RESTORE_DATABASE_URL=target)
    assert 'role "app" does not exist' in said
    assert "--no-owners" in said
    assert "half restored" in said


def test_a_pooled_url_is_refused(site: Site):
    with bouncer.bouncer(site.url) as pooled:
        assert "pooler" in site.run("create", status=3, DATABASE_URL=f"{pooled}&pgbouncer=true")
        assert "pooler" in site.run("create", status=3, DATABASE_URL=pooled)
        site.run("create", DATABASE_URL=f"{pooled}&pgbouncer=true", DIRECT_URL=site.url)
        given = {"DATABASE_URL": site.url, "RESTORE_DATABASE_URL": f"{pooled}&pgbouncer=true"}
        assert "RESTORE_DATABASE_URL leads through a pooler" in site.run("restore", status=3, **given)
    assert len(site.json("list")["backups"]) == 1


@pytest.mark.parametrize("away", [False, True], ids=["folder", "elsewhere"])
def test_what_need_not_be_kept_is_removed_after_a_new_one_is_there(site: Site, away: bool):
    site.configure(elsewhere(site) if away else "", keep=1)
    first = site.json("create")
    time.sleep(1.1)  # names are by the second
    second = site.json("create")
    assert second["removed"] == [first["name"]]
    kept = [one.name for one in (site.home / "remote").iterdir()] if away else site.kept
    assert sorted(kept) == [second["name"] + ".json", second["name"] + ".tar"]


def at(days: int) -> Manifest:
    moment = datetime(2026, 5, 31, tzinfo=UTC) - timedelta(days=days)
    return Manifest(f"b{days}", "primary", "d", moment, 1.0, 180000, 18, f"b{days}.tar", 1, "", False, {}, Contents())


@pytest.mark.parametrize(
    ("keep", "keep_for", "gone"),
    [
        (2, timedelta(0), [5, 10, 40]),
        (2, timedelta(days=7), [10, 40]),
        (4, timedelta(days=7), [40]),
        (2, None, []),
        (9, timedelta(0), []),
    ],
)
def test_the_newest_are_kept_and_older_ones_for_a_time(keep: int, keep_for: timedelta | None, gone: list[int]):
    backups = [at(days) for days in (40, 1, 10, 0, 5)]
    now = datetime(2026, 5, 31, 1, tzinfo=UTC)
    assert [one.name for one in outdated(backups, keep, keep_for, now)] == [f"b{days}" for days in gone]


def test_the_password_is_neither_printed_nor_on_a_command_line(site: Site):
    site.ask("CREATE ROLE dumper LOGIN SUPERUSER PASSWORD 's3cr3tpw'")
    try:
        url = site.url.replace("postgres@", "dumper:s3cr3tpw@")
        seen = site.home / "seen"
        fake(site, "pg_dump", f'echo "$@" >> {seen}\nexec {{real}} "$@"')
        out = site.run("create", DATABASE_URL=url)
        assert "s3cr3tpw" not in out + seen.read_text()
    finally:
        site.ask("DROP ROLE dumper")


def test_the_program_is_called_and_the_folder_used_as_configured(site: Site):
    seen = site.home / "seen"
    fake(site, "pg_dump", f'echo "$@" >> {seen}\nexec {{real}} "$@"')
    site.configure(jobs=3, compress="0", folder="elsewhere")
    taken = site.json("create")
    assert "--jobs=3" in seen.read_text()
    assert "--compress=0" in seen.read_text()
    assert (site.home / "elsewhere" / taken["archive"]).stat().st_mode & 0o777 == 0o600
    assert site.kept == []


def test_a_role_that_may_only_read_takes_one_and_rows_that_it_may_not_see_are_never_left_out(site: Site):
    role = "reader_" + site.url.rpartition("/t_")[2].partition("?")[0]
    site.ask(f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data TO {role}")
    try:
        url = site.url.replace("postgres@", f"{role}@")
        assert site.json("create", DATABASE_URL=url)["rows"] == 313
        site.ask("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
        time.sleep(1.1)  # names are by the second
        assert "row-level security" in site.run("create", status=3, DATABASE_URL=url)
    finally:
        site.ask(f"DROP OWNED BY {role}; DROP ROLE {role}")
