"""People, roles, sessions, the audit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr

from backoffice.permissions import Permission
from backoffice.schemas.common import Email, Id, Input, Line, Moment, Numbered, Output, Password, Record


class Credentials(Input):
    """What is needed to log in."""

    email: Email = Field(examples=["ann@example.org"])
    password: SecretStr = Field(max_length=200, examples=["correct horse battery"])


class Token(Output):
    """Send it as `Authorization: Bearer …`."""

    token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  not a password
    expires_at: Moment


class PasswordChange(Input):
    """Ends all other sessions."""

    current: SecretStr = Field(max_length=200, examples=["correct horse battery"])
    new: Password


class Me(Output):
    """The caller."""

    user_id: int = Field(examples=[42])
    email: str = Field(examples=["ann@example.org"])
    name: str = Field(examples=["Ann"])
    role: str = Field(examples=["support"])
    admin: bool
    permissions: list[str] = Field(examples=[["customers.read"]])
    session_id: int
    expires_at: Moment


class LoginSession(Record):
    """A log-in that has not ended."""

    expires_at: Moment
    address: str = Field(examples=["203.0.113.7"])
    agent: str = Field(examples=["curl/8.5"])
    current: bool = Field(default=False, description="It is the one that asks.")


class User(Record):
    """Somebody who works here."""

    email: str = Field(examples=["ann@example.org"])
    name: str = Field(examples=["Ann"])
    role_id: int
    active: bool


class NewUser(Input):
    """Somebody new."""

    email: Email = Field(examples=["ann@example.org"])
    name: Line = Field(examples=["Ann"])
    password: Password
    role_id: Id = Field(examples=[2])


class UserChange(Input):
    """What is not given stays as it is. Who is made inactive is logged out everywhere, at once."""

    name: Line = Field(default="", examples=["Ann"])
    role_id: Id = Field(default=0, examples=[2])
    active: bool = True
    password: Password = Field(default=SecretStr(""))


class Role(Record):
    """What its users may do."""

    name: str = Field(examples=["support"])
    permissions: list[str] = Field(examples=[["customers.read"]])
    admin: bool


class NewRole(Input):
    """A new role. There is one role of administrators, and no second one can be made here."""

    name: Line = Field(examples=["support"])
    permissions: list[Permission] = Field(default=[], max_length=100, examples=[["customers.read"]])


class RoleChange(Input):
    """What is not given stays as it is."""

    name: Line = Field(default="", examples=["support"])
    permissions: list[Permission] = Field(default=[], max_length=100, examples=[["customers.read"]])


class AuditEntry(Numbered):
    """Who did what."""

    at: Moment
    actor_id: int
    actor: str = Field(examples=["ann@example.org"])
    action: str = Field(examples=["user.changed"])
    subject: str = Field(examples=["42"])
    details: dict[str, Any]
    request_id: str
