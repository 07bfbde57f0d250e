"""Integrations and their runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from backoffice.schemas.common import Id, Input, Line, Moment, Record

Kind = Literal["edi", "rest", "sftp"]


class Integration(Record):
    """A connection to another system."""

    name: str = Field(examples=["Hansa EDI"])
    kind: Kind
    organization_id: int | None
    settings: dict[str, Any]
    enabled: bool


class NewIntegration(Input):
    """A new connection. Settings hold no secrets: they are shown to whoever may read integrations."""

    name: Line = Field(examples=["Hansa EDI"])
    kind: Kind = "rest"
    organization_id: Id | None = Field(default=None, examples=[1])
    settings: dict[str, Any] = Field(default={}, max_length=100, examples=[{"folder": "/in"}])


class IntegrationChange(Input):
    """What is not given stays as it is."""

    name: Line = Field(default="", examples=["Hansa EDI"])
    settings: dict[str, Any] = Field(default={}, max_length=100, examples=[{"folder": "/in"}])
    enabled: bool = True


class IntegrationRun(Record):
    """One exchange with the other system."""

    integration_id: int
    state: Literal["running", "succeeded", "failed"]
    ended_at: Moment | None
    records: int
    message: str | None


class RunEnd(Input):
    """How a run ended."""

    state: Literal["succeeded", "failed"] = "succeeded"
    records: int = Field(default=0, ge=0, le=2**53)
    message: Line | None = Field(default=None, examples=["12 orders"])
