"""A streaming replica of a private PostgreSQL server."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import psycopg

from syncline.embedded.postgres import PrivatePostgres
from tests import engines


@contextlib.contextmanager
def standby_of(primary: PrivatePostgres) -> Iterator[PrivatePostgres]:
    """Copy the running primary's folder as a base backup and let the copy follow it."""
    with engines.scratch_folder() as folder:
        where = parse_qs(urlsplit(primary.url).query)
        settings = {"primary_conninfo": f"host={where['host'][0]} port={where['port'][0]} user=postgres"}
        with psycopg.connect(primary.url, autocommit=True) as conn:
            before_15 = conn.info.server_version < 150000
            begin, end = ("start_backup", "stop_backup") if before_15 else ("backup_start", "backup_stop")
            conn.execute(f"SELECT pg_{begin}('standby', true{', false' if before_15 else ''})")
            shutil.copytree(primary.data_dir, folder / "pg", ignore=_unstable, copy_function=_copied)
            row = conn.execute(f"SELECT labelfile FROM pg_{end}(false)").fetchone()
        assert row is not None
        (folder / "pg" / "backup_label").write_text(row[0])
        (folder / "pg" / "standby.signal").touch()
        (folder / "pg").chmod(0o700)
        server = engines.small_postgres(folder / "pg", settings=settings)
        try:
            yield server.start()
        finally:
            server.kill()


def _unstable(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name in {"postmaster.pid", "postmaster.opts", "pg_internal.init"}]


def _copied(source: str, target: str) -> str:
    """Files may go while they are copied: the log brings them back."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)
    return target


def in_database(server: PrivatePostgres, database: str) -> str:
    """URL of a database of this server: the one that another server's URL names."""
    return urlsplit(server.url)._replace(path=urlsplit(database).path).geturl()
