"""Doing a job for somebody in another process."""

from __future__ import annotations

import traceback
from typing import Any

from syncline.errors import SynclineError
from syncline.ports import Performer


async def answer(performer: Performer, job: Any) -> Any:
    """Do it: an error is an answer, too."""
    try:
        return await performer.perform(job)
    except SynclineError as error:
        return error
    except Exception as error:  # noqa: BLE001  whoever waits for the answer has to be told
        return RuntimeError(f"{type(error).__name__}: {error}, in a process of the command\n{traceback.format_exc()}")
