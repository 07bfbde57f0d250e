"""The section of backups."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from syncline.config.settings import Duration, Section


class BackupSettings(Section):
    """Backups of the named databases, made and read back by `syncline backup`.

    Commands are run without a shell, their words split as a shell splits them. `{name}` is a stored file's name.
    """

    folder: str = "backups"
    """Where backups are kept, seen from this file; with `put`, where they are made before they leave."""
    encrypt: str = ""
    """Command that encrypts its standard input, such as `age -r age1…` or `gpg --batch -e -r ops`."""
    decrypt: str = ""
    """Command that decrypts its standard input."""
    put: str = ""
    """Command that stores its standard input elsewhere, such as `rclone rcat remote:backups/{name}`."""
    get: str = ""
    """Command that gives a stored file on its standard output, such as `rclone cat remote:backups/{name}`."""
    list_: str = Field(default="", validation_alias="list")
    """Command that names the stored files, one a line, such as `rclone lsf remote:backups`."""
    remove: str = ""
    """Command that removes a stored file, such as `rclone deletefile remote:backups/{name}`."""
    keep: int = Field(default=7, ge=1)
    """So many of a database's newest backups are kept, whatever their age."""
    keep_for: Duration = timedelta(0)
    """Older ones are kept as long as this, such as `30d`; `off`: for ever."""
    jobs: int = Field(default=4, ge=1, le=64)
    """Connections that dump, and that restore, at the same time."""
    compress: str = "1"
    """What `pg_dump --compress` is given, such as `zstd:3` from version 16 on; 0: nothing is compressed."""
    programs: str = ""
    """Folder of pg_dump and pg_restore, which must be as new as the server; by default PATH."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = {name: bool(getattr(self, name)) for name in ("put", "get", "list_", "remove")}
        if any(given.values()) and not all(given.values()):
            missing = ", ".join(name.rstrip("_") for name, there in given.items() if not there)
            raise ValueError(f"a store elsewhere needs put, get, list and remove; missing: {missing}")
        for name in ("put", "get", "remove"):
            if given[name] and "{name}" not in getattr(self, name):
                raise ValueError(f"{name}: {{name}} must stand where the file's name goes")
        if bool(self.encrypt) != bool(self.decrypt):
            raise ValueError("encrypt and decrypt go together: a backup that cannot be read back is useless")
        return self
