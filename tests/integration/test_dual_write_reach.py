"""Ways to PostgreSQL: through a pooler, by a role that may do nothing else, over TLS whose certificate is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from bson import ObjectId
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.config.postgres_variables import postgres_url
from syncline.engines.postgres.documents.schema import AUDIT, grants
from syncline.engines.postgres.documents.session import session
from syncline.errors import TargetUnavailableError
from syncline.phases import JournalPhases, Phase
from syncline.phases.dual_write import AsyncEnhancedDualWriteService
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.postgres.sql import blocks
from tests.bouncer import bouncer
from tests.dual_write import TASKS, DualStage, declared, dual_stage  # noqa: F401  fixtures
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

PATIENT = DualWriteSettings(enabled=True, deadline=timedelta(seconds=20))


@pytest.fixture
def documents(mongo_url: str, mongo_db: str) -> Callable[[str], Documents]:
    return lambda target: declared(mongo_url, mongo_db, target)


async def used(stage: DualStage, documents: Documents) -> None:
    """Do what applications do, often enough that a driver would prepare statements."""
    async with AsyncEnhancedDualWriteService(documents, settings=PATIENT) as service:
        ids = [str(ObjectId()) for _ in range(8)]
        for id_ in ids:
            assert await service.create_document("tasks", {"title": id_, "labels": ["a"]}, id_)
            assert await service.update_document("tasks", id_, {"n": 1})
        assert await service.create_document("tasks", {"title": ids[0]}, ids[0][::-1])  # the title is taken
        given = [{"collection_name": "tasks", "operation": "delete", "mongo_id": id_} for id_ in ids[1:4]]
        assert all(one.synced for one in (await service.batch_operations(given)).results)
        assert await service.get_sync_status("tasks", ids[0]) == "SYNCED"
        assert len(await service.get_sync_failures()) == 1
        assert await service.retry_failed() == 1
        assert (await service.get_sync_metrics())["operations"]["left"] == 1


async def test_through_a_pooler_in_transaction_mode_all_works_and_nothing_is_left_in_its_sessions(stage, documents):
    with bouncer(stage.url, size=2) as pooled:
        await used(stage, documents(f"{pooled}&pgbouncer=true"))
        with psycopg.connect(pooled, autocommit=True) as connection:
            found = connection.execute(
                "SELECT current_setting('statement_timeout'), (SELECT count(*) FROM pg_prepared_statements)"
            ).fetchone()
    assert found == ("0", 0)


async def test_the_journal_of_phases_works_through_a_pooler_and_sets_nothing_for_others(stage, documents, tmp_path):
    (tmp_path / "syncline.toml").write_text('[collections.tasks]\ncolumns = { title = "text" }\n')
    words = ["--config", str(tmp_path / "syncline.toml"), "--force", "--reason", "a test"]
    with bouncer(stage.url, size=1) as pooled:
        declared = documents(f"{pooled}&pgbouncer=true")
        source, target = declared.url("source"), declared.url("target")
        env = {"MONGODB_URL": source, "DATABASE_URL": target, "DUAL_WRITE_ENABLED": ""}
        result = await asyncio.to_thread(CliRunner().invoke, app, ["phase", "advance", "tasks", *words], env=env)
        assert result.exit_code == 0, result.output
        async with JournalPhases(source, target, env={}) as phases, asyncio.timeout(60):
            journal = InPostgreSQL(target)
            while not journal.processes():
                await asyncio.sleep(0.01)
            journal.close()
            assert phases.of("tasks") is Phase.DUAL_WRITE
        with psycopg.connect(pooled, autocommit=True) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)


async def test_a_role_that_may_do_nothing_else_is_enough(stage, documents):
    info = conninfo_to_dict(stage.url)
    role = f"app_{info['dbname']}"
    with psycopg.connect(stage.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        made = blocks("audit.sql", "syncline.phases.dual_write")
        for statement in (*(made[name] for name in AUDIT), *grants(role, [TASKS])):
            connection.execute(statement)
    try:
        await used(stage, documents(stage.url.replace(f"//{info['user']}@", f"//{role}@")))
    finally:
        with psycopg.connect(stage.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def certificate(folder: Path, name: str) -> Path:
    """Make a key and a certificate that signs itself; both names begin with ``name``."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl, which makes the certificates, is not there")
    key, made = folder / f"{name}.key", folder / f"{name}.crt"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    key.chmod(0o600)
    return made


@contextlib.asynccontextmanager
async def encrypted(url: str, made: Path) -> AsyncIterator[int]:
    """Stand before a server, whose build may know no TLS, as one that does; yield the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made, made.with_suffix(".key"))
    info = conninfo_to_dict(url)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # libpq asks whether there is TLS
        writer.write(b"S")
        try:
            await writer.start_tls(context)
            there, back = await asyncio.open_unix_connection(f"{info['host']}/.s.PGSQL.{info['port']}")
            await asyncio.gather(_piped(reader, back), _piped(there, writer))
        except OSError:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listener:
        yield listener.sockets[0].getsockname()[1]


async def _piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_a_wrong_certificate_authority_is_refused(database, tmp_path):
    own, other = certificate(tmp_path, "own"), certificate(tmp_path, "other")
    async with encrypted(database, own) as port:
        info = conninfo_to_dict(database)
        given = {"HOST": "127.0.0.1", "PORT": str(port), "NAME": str(info["dbname"]), "USER": str(info["user"])}

        def url(**more: str) -> str:
            return postgres_url({f"POSTGRES_{name}": value for name, value in (given | more).items()}) or ""

        right = await session(url(SSLMODE="verify-full", SSLROOTCERT=str(own)), seconds=5)
        assert right.pgconn.ssl_in_use
        await right.close()
        for wrong in (url(SSLMODE="verify-full", SSLROOTCERT=str(other)), url(SSLMODE="verify-full")):
            with pytest.raises(TargetUnavailableError, match="certificate"):
                await session(wrong, seconds=5)
