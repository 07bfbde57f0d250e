"""Steps on columns, as people write them: each names a column and says what becomes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backoffice.schemas.common import Input

Column = Annotated[str, Field(min_length=1, max_length=100, examples=["price"])]
Text = Annotated[str, Field(max_length=1000)]


class Rename(Input):
    """Give a column another name."""

    do: Literal["rename"]
    column: Column
    to: Column


class Trim(Input):
    """Take spaces away at both ends, and see several in a row as one; in all columns, or in one."""

    do: Literal["trim"]
    column: Column | None = Field(default=None, examples=["zone"])


class Parse(Input):
    """Read text as a number or a date. What cannot be read is rejected; nothing stays nothing."""

    do: Literal["parse"]
    column: Column
    kind: Literal["integer", "decimal", "date"] = "integer"
    decimal_sign: Literal[".", ","] = "."


class Map(Input):
    """Replace values by others; what is not named is kept or rejected."""

    do: Literal["map"]
    column: Column
    values: dict[Text, Text] = Field(max_length=1000, examples=[{"Europe": "EU-1"}])
    otherwise: Literal["keep", "reject"] = "keep"


class Default(Input):
    """Fill what is missing or empty."""

    do: Literal["default"]
    column: Column
    value: Text = Field(examples=["EU-1"])


class Validate(Input):
    """Reject what is not as it should be."""

    do: Literal["validate"]
    column: Column
    required: bool = False
    minimum: float | None = Field(default=None, examples=[0])
    maximum: float | None = Field(default=None, examples=[1000])
    longest: int | None = Field(default=None, ge=0, le=10_000, examples=[20])
    one_of: list[Text] | None = Field(default=None, max_length=1000, examples=[["EU-1", "EU-2"]])
    shape: str | None = Field(
        default=None,
        max_length=100,
        examples=["AA-9"],
        description="A letter for each `A`, a digit for each `9`; everything else as it is.",
    )


Step = Annotated[Rename | Trim | Parse | Map | Default | Validate, Field(discriminator="do")]
