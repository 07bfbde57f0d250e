"""What goes in and out, in camelCase. What comes in is bounded, and unknown fields are refused."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, SecretStr, StringConstraints
from pydantic.alias_generators import to_camel

T = TypeVar("T")

MAX_ID = 2**63 - 1
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_line(value: str) -> str:
    """Normalise; refuse what cannot be stored, and what makes text look like another text."""
    value = unicodedata.normalize("NFC", value)
    if any(unicodedata.category(one) in ("Cc", "Cs") or one in _DIRECTIONS for one in value):
        raise ValueError("control characters are not allowed")
    if not any(unicodedata.category(one)[0] in "LMNPS" for one in value):
        raise ValueError("there must be something to see")
    return value


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(clean_line)
]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_-]{0,19}$")]
"""A short name that people and files use: ``DHL``, ``EU-1``."""
Email = Annotated[EmailStr, StringConstraints(max_length=254), AfterValidator(str.lower)]
Password = Annotated[SecretStr, Field(min_length=10, max_length=200, examples=["correct horse battery"])]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Moment = Annotated[dt.datetime, AfterValidator(lambda moment: moment.astimezone(dt.UTC))]


class Input(BaseModel):
    """Comes from a client."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", hide_input_in_errors=True)


class Output(BaseModel):
    """Goes to a client; made of a row."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class Numbered(Output):
    """Has an id."""

    id: int = Field(examples=[42])


class Record(Numbered):
    """Has an id, and a moment when it was made."""

    created_at: Moment


class Page(Output, Generic[T]):
    """A part of a long list, newest first."""

    items: list[T]
    next_cursor: int | None = Field(description="Give it as `before` to get the next page; null: there is none.")


def changes(change: Input) -> dict[str, Any]:
    """Give the fields of a change that were sent."""
    return change.model_dump(exclude_unset=True)
