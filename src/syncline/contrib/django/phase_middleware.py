"""Middleware: all reads of a caller go to one side of a ramp, and those of one request by one phase."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from syncline.phases.epoch import one_epoch
from syncline.phases.repositories import ramp_key

HEADER = "Syncline-Phase-Epoch"


class PhaseMiddleware:
    """Gives each request the key of its caller: the token, else the session's cookie, else the address.

    Only a digest of it is kept. A view that knows who calls may choose a better one: ``with ramp_key(user_id):``.

    All reads of a request go by the phases that its first one finds (``one_epoch``). The answer says by which, in the
    header ``Syncline-Phase-Epoch``: the number of the newest change that was known, as in ``syncline phase history``.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        with ramp_key(key_of(request)), one_epoch() as epoch:
            response = self._get_response(request)
        if epoch.number is not None:
            response[HEADER] = str(epoch.number)
        return response


def key_of(request: HttpRequest) -> str:
    """Give what stands for the caller."""
    given = (
        request.headers.get("Authorization")
        or request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        or request.META.get("REMOTE_ADDR", "")
    )
    return hashlib.sha256(given.encode(errors="replace")).hexdigest()
