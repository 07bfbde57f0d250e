"""Getting MongoDB's engine: consent, and every way in which the download can fail."""

import os
import stat
from pathlib import Path

import pytest

from syncline.embedded import mongo_fetch
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.paths import cache_dir
from syncline.errors import ConsentError, EngineError


@pytest.fixture(autouse=True)
def nothing_fetched_or_accepted(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNCLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SYNCLINE_ACCEPT_SSPL", raising=False)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Return a function that puts an npm of our own, a shell script, in place of the real one."""

    def install(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "npm").chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return install


def test_without_consent_nothing_is_fetched_and_the_error_says_how_to_consent(tmp_path, npm):
    npm(f"touch {tmp_path}/called")
    with pytest.raises(ConsentError, match=r"(?s)Server Side Public License.*SYNCLINE_ACCEPT_SSPL=1"):
        mongo_fetch.fetch()
    assert not (tmp_path / "called").exists()


def test_a_server_without_consent_refuses_to_start(tmp_path):
    with pytest.raises(ConsentError):
        PrivateMongo(tmp_path / "mongo", kind="engine").start()


@pytest.mark.parametrize(("value", "needed"), [("1", False), ("yes", False), ("TRUE", False), ("0", True), ("", True)])
def test_consent_in_the_environment(monkeypatch, value, needed):
    monkeypatch.setenv("SYNCLINE_ACCEPT_SSPL", value)
    assert mongo_fetch.consent_needed() is needed


def test_an_engine_that_is_there_needs_no_consent_and_no_npm(monkeypatch):
    path = mongo_fetch.library_path()
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setenv("PATH", "")
    assert not mongo_fetch.consent_needed()
    assert mongo_fetch.fetch() == path


def test_npm_missing(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match=r"(?s)npm is needed.*Install npm.*mongod on PATH"):
        mongo_fetch.fetch(accept=True)


def test_npm_fails(npm):
    npm("echo 'network is unreachable' >&2; exit 1")
    with pytest.raises(EngineError, match=r"(?s)could not be downloaded.*network is unreachable.*npm by hand"):
        mongo_fetch.fetch(accept=True)


def test_another_archive_than_expected_is_thrown_away(npm):
    npm("echo hello > package.tgz")
    with pytest.raises(EngineError, match="checksum"):
        mongo_fetch.fetch(accept=True)
    assert [path.name for path in cache_dir().iterdir()] == ["mongodb-engine.lock"]


def test_an_unknown_machine_is_named(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(EngineError, match="no MongoDB engine for Linux on riscv64"):
        mongo_fetch.fetch(accept=True)


def test_the_cache_follows_xdg(monkeypatch):
    monkeypatch.delenv("SYNCLINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/syncline")
