"""Carriers, and what delivery costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from backoffice.schemas.common import Code, Input, Line, Output, Record

Grams = Annotated[int, Field(ge=1, le=10_000_000)]
Price = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=2, examples=["4.90"])]
Days = Annotated[int, Field(ge=0, le=365, examples=[2])]


class Carrier(Record):
    """Who delivers."""

    code: str = Field(examples=["DHL"])
    name: str = Field(examples=["DHL Parcel"])
    active: bool


class NewCarrier(Input):
    """A new one. Its code is what files call it, and stays."""

    code: Code = Field(examples=["DHL"])
    name: Line = Field(examples=["DHL Parcel"])


class CarrierChange(Input):
    """What is not given stays as it is."""

    name: Line = Field(default="", examples=["DHL Parcel"])
    active: bool = True


class Rate(Output):
    """A cell of the delivery matrix: what a carrier takes for a zone and a weight band."""

    carrier_id: int
    zone: str = Field(examples=["EU-1"])
    to_grams: int = Field(examples=[5000], description="Upper bound of the band; it begins where the one before ends.")
    price: Price
    days: int


class NewRate(Input):
    """What a cell says."""

    price: Price
    days: Days


class Offer(Output):
    """What a carrier takes for a weight."""

    carrier: str = Field(examples=["DHL"])
    price: Price
    days: int
    to_grams: int
