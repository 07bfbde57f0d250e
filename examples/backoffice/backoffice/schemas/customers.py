"""Customers: organizations and their facilities."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from backoffice.schemas.common import Code, Id, Input, Line, Record

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Kind = Literal["office", "warehouse", "shop"]


class Organization(Record):
    """A customer."""

    name: str = Field(examples=["Hansa Trading"])
    country: str = Field(examples=["DE"])
    active: bool


class NewOrganization(Input):
    """A new customer."""

    name: Line = Field(examples=["Hansa Trading"])
    country: Country = Field(examples=["DE"])


class OrganizationChange(Input):
    """What is not given stays as it is."""

    name: Line = Field(default="", examples=["Hansa Trading"])
    country: Country = Field(default="", examples=["DE"])
    active: bool = True


class Facility(Record):
    """A place of a customer's."""

    organization_id: int
    name: str = Field(examples=["Main warehouse"])
    kind: Kind
    address: str = Field(examples=["Hafenstr. 1, 20457 Hamburg"])
    zone: str = Field(examples=["EU-1"])


class NewFacility(Input):
    """A new place. There must be prices for its zone when it is written; no foreign key holds them."""

    organization_id: Id = Field(examples=[1])
    name: Line = Field(examples=["Main warehouse"])
    kind: Kind = "office"
    address: Line = Field(examples=["Hafenstr. 1, 20457 Hamburg"])
    zone: Code = Field(examples=["EU-1"])


class FacilityChange(Input):
    """What is not given stays as it is."""

    name: Line = Field(default="", examples=["Main warehouse"])
    kind: Kind = "office"
    address: Line = Field(default="", examples=["Hafenstr. 1, 20457 Hamburg"])
    zone: Code = Field(default="", examples=["EU-1"])
