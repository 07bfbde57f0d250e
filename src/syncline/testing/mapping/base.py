"""What a test class of a mapping says about it, and how its tests are played."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any

from syncline.config import Settings
from syncline.errors import ConfigError, SynclineError
from syncline.ports import Target
from syncline.testing.mapping.pair import Pair, opened_pair
from syncline.testing.mapping.prepare import Prepared, prepared, run_files
from syncline.testing.servers import Servers
from syncline.wiring.sides import open_target

Scenario = Callable[[Pair], Awaitable[None]]


class MappingCase:
    """The mapping under test; subclass ``MappingContract`` and set what differs."""

    config: str | Path = "syncline.toml"
    """Your configuration; looked for beside the test's file, then in the working directory. Its URLs are not used."""
    schema: str | Path | Sequence[str | Path] = ()
    """SQL files that create your tables, in order; or override ``create_schema``."""
    rows_per_table = 12
    """Rows that most tests begin with."""
    steps = 50
    """Transactions of a random history."""
    patience_seconds = 60.0
    """How long a test waits for what must happen; only a failing test waits so long."""

    def create_schema(self, url: str) -> None:
        """Create your tables in the empty PostgreSQL database at ``url``: override it to run your migrations."""
        files = [self.schema] if isinstance(self.schema, str | Path) else self.schema
        run_files(url, [self._found(file) for file in files])

    def row(self, table: str, number: int, random: Random) -> Mapping[str, Any] | None:  # noqa: ARG002
        """Give values for some columns of a generated row; what is not given is generated.

        Args:
            table: with its schema, such as ``public.customer``.
            number: grows from row to row: for what must be unique.
            random: the only source of chance to use, so that the seed repeats a run.

        Returns:
            Column to value; ``None``: no rows are to be generated in this table.

        """
        return {}

    def open_target(self, settings: Settings) -> Target:
        """Make the target that the workers write to."""
        return open_target(settings)

    def play(self, pair: Pair, scenario: Scenario) -> None:
        """Play a test."""

        async def whole() -> None:
            try:
                await scenario(pair)
            except SynclineError as error:
                pair.fail(str(error))
            finally:
                await pair.close()

        asyncio.run(whole())

    def prepared(self, servers: Servers) -> AbstractContextManager[Prepared]:
        """Create the database that every test copies."""
        return prepared(servers, self._found(self.config), self.create_schema)

    def opened(self, mapping: Prepared, seed: int, name: str) -> AbstractContextManager[Pair]:
        """Copy it for one test."""
        return opened_pair(
            mapping,
            seed=seed,
            name=name,
            decide=self.row,
            patience=self.patience_seconds,
            open_target=self.open_target,
        )

    def _found(self, name: str | Path) -> Path:
        beside = Path(inspect.getfile(type(self))).parent / name
        if beside.is_file() or Path(name).is_absolute():
            return beside
        if Path(name).is_file():
            return Path(name).absolute()
        raise ConfigError(f"{name}: there is no such file in {beside.parent}, nor in the working directory")
