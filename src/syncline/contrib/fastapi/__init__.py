"""Syncline in a FastAPI application: routers to mount, request times, correlation ids, read-your-writes tokens."""

from syncline.contrib.fastapi.integration import Syncline, routers
from syncline.contrib.fastapi.middleware import Correlation, RequestTimes
from syncline.contrib.fastapi.problems import problem_details
from syncline.contrib.fastapi.tokens import HEADER, Fresh
from syncline.web.auth import AdminCredential, require_admin
from syncline.web.problems import Problem

__all__ = [
    "HEADER",
    "AdminCredential",
    "Correlation",
    "Fresh",
    "Problem",
    "RequestTimes",
    "Syncline",
    "problem_details",
    "require_admin",
    "routers",
]
