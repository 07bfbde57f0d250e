"""Commands that a user names: run without a shell, fed and read as streams, told of in one sentence when they fail."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from syncline.errors import BackupError, ConfigError

_LAST = 400


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the configuration."""

    setting: str
    """What it is called there."""
    words: tuple[str, ...]

    @classmethod
    def read(cls, setting: str, text: str, **names: str) -> Command:
        """Take a setting apart; ``{name}`` is replaced word by word, so that no name is a word of its own.

        Raises:
            ConfigError: quotes are missing.

        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise ConfigError(f"{setting} of [backup]: {error}", hint="correct its quotes") from None
        for name, value in names.items():
            words = [word.replace("{" + name + "}", value) for word in words]
        return cls(setting, tuple(words))

    @contextlib.contextmanager
    def running(
        self, *, stdin: int | IO[bytes] | None = subprocess.DEVNULL, stdout: int | IO[bytes] | None = subprocess.DEVNULL
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run it for a block, which closes its input; an error of the block ends it.

        Raises:
            BackupError: it cannot be started, or ends with another status than 0.

        """
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(self.words, stdin=stdin, stdout=stdout, stderr=complaints)
            except OSError as error:
                raise BackupError(
                    f"{self.called} cannot be run: {error.strerror}", hint=f"correct {self.setting} in [backup]"
                ) from None
            broken: BaseException | None = None
            try:
                yield process
            except BrokenPipeError as error:  # its own end says why
                broken = error
            except BaseException:
                process.kill()
                raise
            finally:
                for pipe in (process.stdin, process.stdout):
                    with contextlib.suppress(BrokenPipeError):
                        if pipe is not None:
                            pipe.close()
                status = process.wait()
            if status or broken:
                raise BackupError(
                    f"{self.called} failed ({status}): {_last(complaints)}", hint=f"look at {self.setting} in [backup]"
                )

    def output(self) -> bytes:
        """Run it; give what it prints."""
        with self.running(stdout=subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101  asked for
            return process.stdout.read()

    @property
    def called(self) -> str:
        """Name it for messages: the program alone, since arguments may hold secrets."""
        return f"{self.setting} ({self.words[0] if self.words else 'nothing'})"


def _last(complaints: IO[bytes]) -> str:
    complaints.seek(0, 2)
    complaints.seek(max(0, complaints.tell() - 4 * _LAST))
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:_LAST] if lines else "it says nothing"
