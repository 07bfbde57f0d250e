"""The private PostgreSQL server: what is committed stays, whatever is done to the server."""

import socket
import time
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import EngineError
from tests.engines import small_postgres


def execute(url, statement):
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


@pytest.mark.parametrize("end", [PrivatePostgres.stop, PrivatePostgres.kill])
def test_committed_rows_survive(private_postgres, end):
    url = private_postgres.url
    execute(url, "CREATE TABLE t AS SELECT 1 AS x")
    end(private_postgres)
    assert not private_postgres.running
    with pytest.raises(psycopg.OperationalError):
        execute(url, "SELECT 1")
    private_postgres.start()
    assert execute(url, "SELECT x FROM t") == [(1,)]


def test_kill_with_open_sessions_and_start_at_once(private_postgres):
    sessions = [psycopg.connect(private_postgres.url) for _ in range(5)]
    for _ in range(3):
        private_postgres.kill()
        private_postgres.start()
    assert execute(private_postgres.url, "SELECT 1") == [(1,)]
    for session in sessions:
        session.close()


def test_a_lock_file_with_the_number_of_a_stranger_does_not_matter(private_postgres):
    lock = private_postgres.data_dir / "postmaster.pid"
    text = lock.read_text()
    private_postgres.kill()
    lock.write_text(text.replace(text.splitlines()[0], "1", 1))
    assert private_postgres.start().running


def test_one_folder_has_one_server(private_postgres, monkeypatch):
    monkeypatch.setattr("syncline.embedded.postgres.LEAVING_SECONDS", 0.1)
    with pytest.raises(EngineError, match=r"(?s)Another PostgreSQL server runs in .*choose another folder"):
        small_postgres(private_postgres.data_dir).start()
    assert execute(private_postgres.url, "SELECT 1") == [(1,)]


def test_a_frozen_server_answers_when_it_thaws(private_postgres):
    answers = []
    with psycopg.connect(private_postgres.url, autocommit=True) as connection:
        private_postgres.freeze()
        asking = Thread(target=lambda: answers.append(connection.execute("SELECT 1").fetchone()))
        asking.start()
        time.sleep(0.3)
        assert answers == []
        private_postgres.thaw()
        asking.join(10)
    assert answers == [(1,)]


def test_a_frozen_server_can_be_killed(private_postgres):
    private_postgres.freeze()
    private_postgres.kill()
    assert execute(private_postgres.start().url, "SELECT 1") == [(1,)]


def test_a_killed_server_leaves_nothing_outside_of_its_folder(private_postgres):
    lock = (private_postgres.data_dir / "postmaster.pid").read_text().splitlines()
    segment = lock[6].split()[1]
    assert "/dev/shm/PostgreSQL" not in Path(f"/proc/{private_postgres._process.pid}/maps").read_text()
    assert segment in _segments()
    private_postgres.kill()
    assert segment not in _segments()
    assert execute(private_postgres.start().url, "SELECT 1") == [(1,)]


def _segments():
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def test_it_is_durable_and_can_decode_its_log(postgres):
    query = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'wal_level')"
    assert dict(execute(postgres.url, query)) == {"fsync": "on", "synchronous_commit": "on", "wal_level": "logical"}


@pytest.mark.engines
def test_settings_are_passed_on(tmp_path):
    with small_postgres(tmp_path / "pg", settings={"max_connections": 17}) as server:
        assert execute(server.url, "SHOW max_connections") == [("17",)]


@pytest.mark.engines
def test_a_wrong_setting_is_reported_in_the_words_of_the_server(tmp_path):
    with pytest.raises(EngineError, match="no_such_setting"):
        small_postgres(tmp_path / "pg", settings={"no_such_setting": 1}).start()


def test_own_identity(tmp_path, postgres):
    query = "SELECT system_identifier FROM pg_control_system()"
    with small_postgres(tmp_path / "pg", own_identity=True) as server:
        assert execute(server.url, query) != execute(postgres.url, query)


@pytest.mark.engines
def test_tcp_on_the_loopback_interface_too(tmp_path):
    with small_postgres(tmp_path / "pg", tcp_port=0) as server:
        assert execute(server.tcp_url, "SELECT 1") == execute(server.url, "SELECT 1") == [(1,)]


@pytest.mark.engines
def test_a_port_that_was_taken_meanwhile(tmp_path):
    server = small_postgres(tmp_path / "pg", tcp_port=0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.tcp_port))
        other.listen()
        with pytest.raises(EngineError, match=f"Port {server.tcp_port}"):
            server.start()


def test_databases_of_tests_are_empty_and_go_even_when_sessions_stay(postgres):
    from tests.engines import fresh_database

    with fresh_database(postgres.url) as url:
        lingering = psycopg.connect(url)
        assert lingering.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        name = lingering.info.dbname
    assert execute(postgres.url, f"SELECT 1 FROM pg_database WHERE datname = '{name}'") == []
    lingering.close()
