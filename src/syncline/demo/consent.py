"""The MongoDB engine's licence: whether the user has to be asked, and asking."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from syncline.embedded import consent_needed
from syncline.embedded.mongo_fetch import CONSENT_VARIABLE, LICENCE, LICENCE_URL
from syncline.errors import ConsentError

OTHER_WAY = "Or put a mongod on PATH: the demo then uses that."
QUESTION = (
    f"The demo runs a real MongoDB engine, which is under the {LICENCE}:\n  {LICENCE_URL}\n"
    "It is downloaded once with npm (15 MB) into your own cache and used on this machine only.\n"
    "Do you accept this licence?"
)


def must_ask() -> bool:
    """Whether the engine would have to be downloaded, and nobody has answered yet."""
    return shutil.which("mongod") is None and consent_needed()


def settle(*, accepted: bool, ask: Callable[[str], bool] | None) -> None:
    """Have an answer before anything is downloaded.

    Args:
        accepted: the user has said yes on the command line.
        ask: puts a question to the user; ``None``: nobody is there.

    Raises:
        ConsentError: the licence is not accepted.

    """
    if accepted or not must_ask():
        return
    if ask is None:
        raise ConsentError(
            f"The demo's MongoDB engine is under the {LICENCE}, and nobody is here to accept it: {LICENCE_URL}",
            hint=f"To accept it and download the engine (15 MB), set {CONSENT_VARIABLE}=1 or add --yes. {OTHER_WAY}",
        )
    if not ask(QUESTION):
        raise ConsentError("The licence was not accepted; nothing was downloaded.", hint=OTHER_WAY)
