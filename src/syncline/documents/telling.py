"""What operators are told of documents that PostgreSQL does not take."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from syncline.ports.documents import Outcome

LOG = logging.getLogger("syncline.phases.dual_write")


def tell_rejections(collection: str, outcomes: Sequence[Outcome]) -> None:
    """Log each rejection as an error, and the one after which nobody tries any more as critical."""
    for one in outcomes:
        level = logging.CRITICAL if one.given_up else logging.ERROR
        end = "given up: retry_failed, or write it anew" if one.given_up else "tried again later"
        if one.given_up and one.waits:
            end = "it has failed; tried again from time to time: another row is in its way, or missing"
        LOG.log(
            level,
            "%s %r did not reach PostgreSQL (attempt %d, %s): %s",
            collection,
            one.document.id,
            one.attempts,
            end,
            one.reason,
        )
