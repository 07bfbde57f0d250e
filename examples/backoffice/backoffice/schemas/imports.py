"""Imports and transforms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from backoffice.imports.steps import Step
from backoffice.schemas.common import Input, Moment, Numbered, Output, Record

TransformName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
Steps = Annotated[
    list[Step], Field(max_length=100, examples=[[{"do": "rename", "column": "Price EUR", "to": "price"}]])
]


class ImportRun(Record):
    """An import."""

    name: str = Field(examples=["Prices of May"])
    format: Literal["csv", "xlsx"]
    transform: str | None
    transform_version: int | None
    state: Literal["staging", "staged", "committing", "committed", "discarding", "discarded", "failed"]
    changed_at: Moment
    rows: int = Field(description="Good ones.")
    rejects: int = Field(description="Lines that are not.")
    message: str | None


class Reject(Numbered):
    """Why a line is rejected."""

    line: int
    column: str | None
    message: str


class Reason(Output):
    """How often a column is rejected for a reason."""

    column: str | None
    message: str
    lines: int
    first_line: int


class Report(Output):
    """What is good and what is not."""

    rows: int
    rejects: int
    reasons: list[Reason] = Field(description="The most frequent ones, 50 at most.")


class Preview(Input):
    """Steps to be tried on the first 100 staged rows."""

    steps: Steps


class PreviewedRow(Output):
    """A row before and after."""

    line: int
    source: dict[str, Any]
    content: dict[str, Any] | None
    errors: list[dict[str, str | None]]


class Transform(Record):
    """A version of named steps. It never changes; saving makes the next one."""

    name: str
    version: int
    steps: list[dict[str, Any]]
    author_id: int


class NewTransform(Input):
    """The next version."""

    steps: Steps
