"""Options of the commands whose work several processes can share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import typer

from syncline.errors import SynclineError

if TYPE_CHECKING:
    from syncline.ports import Executor, Work

ProcessesOption = Annotated[
    int,
    typer.Option(
        "--processes", metavar="N", help="Share the work among so many processes of this host.", min=1, max=128
    ),
]
DaskOption = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Share it among the workers of the Dask scheduler at this address."),
]


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who is to do the work.

    Raises:
        SynclineError: both were given.

    """

    processes: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if self.processes > 1 and self.dask is not None:
            raise SynclineError("--processes does not go with --dask", hint="how many workers there are Dask is told")

    @property
    def option(self) -> str | None:
        """The option that was given; ``None``: this process does it."""
        return "--dask" if self.dask is not None else "--processes" if self.processes > 1 else None

    def instead_of(self, option: str, threads: int) -> Self:
        """Refuse them beside an option for threads of this process.

        Raises:
            SynclineError: both were given.

        """
        if threads > 1 and self.option:
            raise SynclineError(f"{self.option} does not go with {option}", hint=f"leave {option} out")
        return self

    def executing(self, work: Work) -> AbstractAsyncContextManager[Executor | None]:
        """Open it for a block; ``None``: this process does it."""
        from syncline.executing.opening import executing

        return executing(work, self.processes, self.dask)
