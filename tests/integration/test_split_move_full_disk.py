"""The disk of the new side is full in the middle of a copy: a tmpfs, which only root can mount."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.moves import ROWS, SQL, Move, Writers, unprivileged

pytestmark = [pytest.mark.engines, pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")]
FILLER = "INSERT INTO log (carrier, name) SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 60000) AS n"
"""Some 20 MB."""


def mounted(folder: Path, *options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")


@contextlib.contextmanager
def on_a_small_disk(server: PrivatePostgres, url: str, folder: Path) -> Iterator[None]:
    """Have a database's files be where there is room for little more than an empty one."""
    folder.mkdir()
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(server.url, autocommit=True) as connection:
        mounted(folder, "size=16m")
        try:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'".encode())
            connection.execute(f"ALTER DATABASE {name} SET TABLESPACE small".encode())
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0".encode())
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            connection.execute(f"ALTER DATABASE {name} SET TABLESPACE pg_default".encode())
            connection.execute("DROP TABLESPACE small")
            subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_copy_whose_disk_was_full_goes_on_when_there_is_room_again(
    postgres, private_postgres, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with (
        engines.fresh_database(postgres.url) as home,
        engines.fresh_database(private_postgres.url) as goal,
        on_a_small_disk(private_postgres, goal, disk),
    ):
        move = Move(unprivileged(home), unprivileged(goal), tmp_path)
        move.here.execute(SQL + ROWS + ";" + FILLER)
        with Writers(move) as writers:
            writers.wait()
            said = move.refused("copy", "--rate", "0")
            assert "could not extend file" in said  # (what it says of the reason differs: one page may be cut in two)
            assert "make room on the disk of the target's server" in said
            assert move.json("status")["phase"] == "copying"
            assert move.there.execute("SELECT count(*) < 60000 FROM log").fetchone() == (True,)
            writers.wait()
            mounted(disk, "remount", "size=200m")
            assert "changes are captured, the gates stand" in move("copy", "--rate", "0")
        with move.follower():
            move.followed()
        assert writers.failures == []
        assert move.difference() == []
        move.close()
