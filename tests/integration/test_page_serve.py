"""``syncline serve``: what it says, where it listens, how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.pages import TOKEN, serving

SOON = 60


def test_serve_makes_a_credential_for_the_loopback_interface_and_tells_it(tmp_path: Path):
    toml = '[source]\nurl = "postgresql://127.0.0.1:1/none"\n[target]\nurl = "mongodb://127.0.0.1:1/none"\n'
    with serving(tmp_path, toml, token=None) as served:
        made = served.told.split("log in with ")[1].strip()
        with httpx.Client(base_url=served.url, trust_env=False, timeout=SOON) as client:
            assert client.post("/login", data={"credential": made}).status_code == 303
            with client.stream("GET", "/events") as stream:
                lines = stream.iter_lines()
                assert [next(lines), next(lines)] == ["retry: 2000", "event: history"]
                assert "event: state" in lines
                served.process.send_signal(signal.SIGTERM)
                assert served.process.wait(SOON) == 0, "it ends although somebody watches"


@pytest.mark.parametrize(
    ("options", "token", "told"),
    [
        (["--host", "192.0.2.1"], "", "no admin credential is set, and 192.0.2.1 can be reached by others"),
        (["--host", "192.0.2.1"], TOKEN, "cannot listen at 192.0.2.1, port 8737: Cannot assign requested address"),
        ([], "short", "the admin credential has fewer than 16 characters"),
        (["--port", "{taken}"], TOKEN, "cannot listen at 127.0.0.1, port {taken}: Address already in use"),
    ],
)
def test_serve_says_why_it_cannot_begin(tmp_path: Path, options: list[str], token: str, told: str):
    toml = '[source]\nurl = "postgresql://127.0.0.1:1/none"\n[target]\nurl = "mongodb://127.0.0.1:1/none"\n'
    environment = {"PATH": "", "HOME": "/", "SYNCLINE_ADMIN_TOKEN": token}
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        (tmp_path / "syncline.toml").write_text(toml)
        command = [str(Path(sys.executable).with_name("syncline")), "serve"]
        command += [option.format(taken=taken) for option in options]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False, env=environment
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"error: {told.format(taken=taken)}"
    assert len(done.stderr.splitlines()) == 2


def test_serve_has_a_page_for_each_link(tmp_path: Path):
    toml = '[source]\nurl = "postgresql://127.0.0.1:1/none"\n'
    for name in ("near", "far"):
        toml += f'[links.{name}.target]\nurl = "mongodb://127.0.0.1:1/{name}"\n'
    with serving(tmp_path, toml) as served, httpx.Client(base_url=served.url, trust_env=False, timeout=SOON) as client:
        assert 'href="near/"' in client.get("/").text
        assert client.get("/near/").headers["location"].endswith("/near/login")
        assert client.post("/near/login", data={"credential": TOKEN}).status_code == 303
        assert "operations of link near" in client.get("/near/").text
        assert client.get("/near/state").status_code == 200
