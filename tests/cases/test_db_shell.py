"""``syncline db shell``: psql on a named database, and nobody sees the password."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests import programs

SPY = """#!{python}
import json, os, sys
json.dump({{"arguments": sys.argv[1:], "password": os.environ.get("PGPASSWORD")}}, open({out!r}, "w"))
"""
URL = "postgresql://app:s3cr%20t@db.example/shop?sslmode=require&schema=shop&connection_limit=3"


def shell(path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "PATH": str(path), **env}
    command = [sys.executable, "-m", "syncline.cli.main", "db", "shell", *arguments]
    return subprocess.run(command, env=given, cwd=path, capture_output=True, text=True, check=False)


def spy(folder: Path) -> Path:
    out = folder / "seen.json"
    (folder / "psql").write_text(SPY.format(python=sys.executable, out=str(out)))
    (folder / "psql").chmod(0o755)
    return out


def test_the_password_is_not_on_the_command_line(tmp_path: Path):
    out = spy(tmp_path)
    direct = URL.replace("db.example", "direct.example")
    done = shell(
        tmp_path,
        "data",
        "--",
        "-c",
        "SELECT 1",
        SPLIT_DB_MODE="true",
        PRIMARY_DATABASE_URL=URL,
        DATA_DATABASE_URL=f"{URL}&pgbouncer=true",
        DATA_DIRECT_URL=direct,
    )
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(out.read_text())
    assert seen["password"] == "s3cr t"
    option, place, *rest = seen["arguments"]
    assert (option, rest) == ("--dbname", ["-c", "SELECT 1"])
    assert "host=direct.example" in place
    assert "sslmode=require" in place
    assert "search_path" in place
    assert "s3cr" not in " ".join(seen["arguments"])


def test_without_psql_it_says_what_to_install(tmp_path: Path):
    done = shell(tmp_path, "primary", DATABASE_URL=URL)
    assert done.returncode == 3
    assert "there is no psql on PATH" in done.stderr
    assert "postgresql-client" in done.stderr


def test_an_unknown_name_is_said(tmp_path: Path):
    spy(tmp_path)
    done = shell(tmp_path, "other", DATABASE_URL=URL)
    assert done.returncode == 3
    assert "there are: primary, data" in done.stderr


def test_psql_reaches_the_database(tmp_path: Path, database: str):
    program = programs.program("psql")
    (tmp_path / "psql").write_text(f'#!/bin/sh\nexec {program} --no-psqlrc -At "$@"\n')
    (tmp_path / "psql").chmod(0o755)
    done = shell(tmp_path, "primary", "-c", "SELECT 6 * 7", DATABASE_URL=database)
    assert (done.returncode, done.stdout, done.stderr) == (0, "42\n", "")
