"""What goes in: validated before anything is asked of a database. Names are camelCase in JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from bson import ObjectId
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from taskboard.permissions import Permission


class Shape(BaseModel):
    """A body."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", arbitrary_types_allowed=True,
        str_strip_whitespace=True,
    )  # fmt: skip

    def fields(self) -> dict[str, Any]:
        """Give what was sent, as a document has it."""
        return {name: _plain(getattr(self, name)) for name in self.model_fields_set}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(one) for name, one in value if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.value if isinstance(value, StrEnum) else value


def _object_id(given: Any) -> ObjectId:
    if isinstance(given, ObjectId):
        return given
    if not isinstance(given, str) or not ObjectId.is_valid(given):
        raise ValueError("this is no id")
    return ObjectId(given)


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("no text has a character NUL")
    text.encode()  # half a surrogate pair is a ValueError, too
    return text


def _unlike(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("one of them is there twice")
    return values


Id = Annotated[ObjectId, BeforeValidator(_object_id)]
Text = Annotated[str, Field(max_length=10_000), AfterValidator(_no_nul)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_no_nul)]
Email = Annotated[
    str,
    Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    AfterValidator(_no_nul),
    AfterValidator(str.lower),
]
Password = Annotated[SecretStr, Field(min_length=10, max_length=200)]
Color = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
Ids = Annotated[list[Id], Field(max_length=100), AfterValidator(_unlike)]


class Status(StrEnum):
    """How far a task is."""

    TODO = "TODO"
    IN_PROGRESS = "IN_PROGRESS"
    BLOCKED = "BLOCKED"
    DONE = "DONE"


class Priority(StrEnum):
    """How urgent a task is."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class Credentials(Shape):
    """A log-in."""

    email: Email
    password: SecretStr


class NewUser(Shape):
    """Somebody."""

    email_id: Email
    name: Name
    google_id: Name | None = None
    password: Password


class UserChange(Shape):
    """What may change of somebody."""

    name: Name = ""
    active: bool = True


class Roles(Shape):
    """The roles of somebody."""

    role_ids: Ids


class Deferral(Shape):
    """Until when a task rests, and why."""

    until: AwareDatetime
    reason: Text = ""


class NewTask(Shape):
    """A task."""

    title: Name
    description: Text = ""
    status: Status = Status.TODO
    priority: Priority = Priority.MEDIUM
    assignee: Id | None = None
    team_id: Id | None = None
    labels: Ids = []
    due: AwareDatetime | None = None


class TaskChange(NewTask):
    """What may change of a task."""

    title: Name = ""


class NewTeam(Shape):
    """A team."""

    name: Name
    description: Text = ""


class TeamChange(NewTeam):
    """What may change of a team."""

    name: Name = ""


class Join(Shape):
    """An invitation that is taken up."""

    invite_code: Name


class NewLabel(Shape):
    """A label."""

    name: Name
    color: Color


class LabelChange(Shape):
    """What may change of a label."""

    name: Name = ""
    color: Color = "#000000"


class NewRole(Shape):
    """A role."""

    name: Name
    permissions: Annotated[list[Permission], AfterValidator(_unlike)]


class RoleChange(Shape):
    """What may change of a role."""

    name: Name = ""
    permissions: Annotated[list[Permission], AfterValidator(_unlike)] = []


class NewWatchlist(Shape):
    """Tasks to keep an eye on."""

    name: Name
    tasks: Ids = []


class WatchlistChange(NewWatchlist):
    """What may change of a watchlist."""

    name: Name = ""
