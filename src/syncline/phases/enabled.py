"""``DUAL_WRITE_ENABLED``: the phase of collections that nobody has changed yet."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.config.dual_write import enabled
from syncline.errors import PhaseError
from syncline.phases.phase import Phase
from syncline.phases.standing import Standings

VARIABLE = "DUAL_WRITE_ENABLED"


def default_phase(env: Mapping[str, str]) -> Phase:
    """Give the phase of collections that nobody has changed yet."""
    return Phase.DUAL_WRITE if enabled(env) else Phase.OFF


def see_that_agreed(default: Phase, agreed: Phase) -> None:
    """See that a process goes by the same phase for new collections as the others.

    Raises:
        PhaseError: it does not: one would write PostgreSQL, and the other would delete in MongoDB alone.

    """
    if default is not agreed:
        words = {Phase.DUAL_WRITE: "true", Phase.OFF: "false, or unset"}
        raise PhaseError(
            f"collections that nobody has changed yet are in {agreed} for the other processes, and in {default} here",
            hint=f"set {VARIABLE} as they have it ({words.get(agreed, agreed)}); `syncline phase` changes collections",
        )


def see_that_enabled(standings: Standings, env: Mapping[str, str]) -> None:
    """See that the variable does not say no where PostgreSQL is written.

    Raises:
        PhaseError: it does: this process would write MongoDB alone.

    """
    if enabled(env) is not False:
        return
    written = [f"{name} ({one.phase})" for name, one in sorted(standings.items()) if one.phase >= Phase.DUAL_WRITE]
    if written:
        names = " ".join(text.split(" ")[0] for text in written)
        raise PhaseError(
            f"{VARIABLE} is false, and PostgreSQL is written: {', '.join(written)}",
            hint=f"`syncline phase back {names}` takes them back, a step at a time; or unset {VARIABLE}:"
            " it is the phase of collections that are new",
        )
