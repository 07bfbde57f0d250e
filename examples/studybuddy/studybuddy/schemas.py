"""What goes in and out, in camelCase. What comes in is bounded, and unknown fields are refused."""

from __future__ import annotations

import datetime as dt
import unicodedata
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

T = TypeVar("T")

MAX_ID = 2**63 - 1
FIRST_DAY, LAST_DAY = dt.date(2000, 1, 1), dt.date(2099, 12, 31)
_LAYOUT = frozenset("\n\t")
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _text(value: str, layout: frozenset[str]) -> str:
    """Normalise; refuse what cannot be stored, and what makes text look like another text."""
    value = unicodedata.normalize("NFC", value)
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in layout:
            raise ValueError("control characters are not allowed")
        if character in _DIRECTIONS:
            raise ValueError("characters that change the direction of writing are not allowed")
    if not any(unicodedata.category(character)[0] in "LMNPS" for character in value):
        raise ValueError("there must be something to see")
    return value


def _line(value: str) -> str:
    return _text(value, frozenset())


def _body(value: str) -> str:
    return _text(value, _LAYOUT)


def _trimmed(longest: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


Line = Annotated[str, _trimmed(200), AfterValidator(_line)]
Body = Annotated[str, _trimmed(4000), AfterValidator(_body)]
Email = Annotated[EmailStr, StringConstraints(max_length=254), AfterValidator(str.lower)]
Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,29}$")]
Password = Annotated[SecretStr, Field(min_length=10, max_length=200)]
Avatar = Annotated[HttpUrl, Field(max_length=500)]
Difficulty = Literal["easy", "medium", "hard"]
Moment = Annotated[dt.datetime, AfterValidator(lambda moment: moment.astimezone(dt.UTC))]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Day = Annotated[dt.date, Field(ge=FIRST_DAY, le=LAST_DAY)]


class Input(BaseModel):
    """Comes from a client."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", hide_input_in_errors=True)


class Output(BaseModel):
    """Goes to a client; made of a row or of a document."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class Record(Output):
    """Has an id, which documents call ``_id``."""

    id: int = Field(validation_alias=AliasChoices("id", "_id"), examples=[42])
    created_at: Moment


class Page(Output, Generic[T]):
    """A part of a long list, newest first."""

    items: list[T]
    next_cursor: int | None = Field(description="Give it as `before` to get the next page; null: there is none.")


class Todo(Record):
    """Something to learn."""

    title: str
    subject: str
    difficulty: Difficulty
    questions_target: int
    completed: bool


class NewTodo(Input):
    """Something to learn."""

    title: Line = Field(examples=["Integrals, chapter 4"])
    subject: Line = Field(examples=["maths"])
    difficulty: Difficulty = "medium"
    questions_target: int = Field(default=0, ge=0, le=10_000, examples=[20])


class Registration(Input):
    """A new account."""

    email: Email = Field(examples=["ann@example.org"])
    username: Username = Field(examples=["ann"])
    password: Password = Field(examples=["correct horse battery"])
    avatar: Avatar | None = Field(default=None, examples=["https://example.org/ann.png"])
    show_profile: bool = True
    first_todo: NewTodo | None = Field(default=None, description="Written down together with the account, or neither.")


class Credentials(Input):
    """What is needed to log in."""

    email: Email = Field(examples=["ann@example.org"])
    password: SecretStr = Field(max_length=200, examples=["correct horse battery"])


class AccessToken(Output):
    """Send it as `Authorization: Bearer …`."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  not a password
    expires_at: Moment


class ProfileChange(Input):
    """What is not given stays as it is."""

    username: Username | None = Field(default=None, examples=["ann"])
    avatar: Avatar | None = Field(default=None, examples=["https://example.org/ann.png"])
    show_profile: bool | None = None
    email: Email | None = Field(default=None, examples=["ann@example.org"])
    password: Password | None = Field(default=None, examples=["incorrect horse battery"])
    current_password: SecretStr | None = Field(
        default=None, max_length=200, description="Needed to change email or password."
    )


class LeaderboardEntry(Output):
    """One of the best."""

    username: str = Field(examples=["ann"])
    total_points: int = Field(examples=[120])
    avatar: str | None = Field(examples=["https://example.org/ann.png"])


class Profile(LeaderboardEntry):
    """What others see of a user."""

    id: int = Field(validation_alias=AliasChoices("id", "_id"), examples=[7])


class Own(Profile):
    """What a user sees of themselves."""

    email: str = Field(examples=["ann@example.org"])
    show_profile: bool
    created_at: Moment


class Registered(Own):
    """A new account, with the todo that came with it."""

    first_todo: Todo | None = None


class NewTodos(Input):
    """Several at once; all or none."""

    todos: list[NewTodo] = Field(min_length=1, max_length=500)


class TodoChange(Input):
    """What is not given stays as it is."""

    title: Line | None = Field(default=None, examples=["Integrals, chapter 5"])
    subject: Line | None = None
    difficulty: Difficulty | None = None
    questions_target: int | None = Field(default=None, ge=0, le=10_000)
    completed: bool | None = Field(default=None, description="Completing it gives a point, taking that back takes it.")


class NewMessage(Input):
    """To one other user."""

    receiver_id: Id = Field(examples=[8])
    body: Body = Field(examples=["Shall we learn together?"])


class Message(Record):
    """From one user to another."""

    sender_id: int
    receiver_id: int
    body: str


class NewFriendship(Input):
    """A request."""

    addressee_id: Id = Field(examples=[8])


class Friendship(Record):
    """Asked for by one, accepted by the other."""

    requester_id: int
    addressee_id: int
    state: Literal["pending", "accepted"]


class NewReport(Input):
    """How a day went."""

    date: Day = Field(examples=["2026-05-01"])
    study_hours: float = Field(ge=0, le=24, allow_inf_nan=False, examples=[2.5])
    completion_pct: float = Field(ge=0, le=100, allow_inf_nan=False, examples=[80])


class Report(Record):
    """How a day went."""

    date: dt.date
    study_hours: float
    completion_pct: float


class Analytics(Output):
    """What one user's reports sum up to."""

    user_id: int = Field(examples=[7])
    username: str = Field(examples=["ann"])
    reports: int = Field(examples=[30])
    total_hours: float = Field(examples=[75.5])
    avg_completion: float = Field(examples=[82.25])


class NewSession(Input):
    """Starts the timer, now."""

    subject: Line = Field(examples=["maths"])


class StudySession(Record):
    """A run of the study timer; `ended` is null while it runs."""

    subject: str
    started: Moment
    ended: Moment | None


class NewForm(Input):
    """Questions to others."""

    title: Line = Field(examples=["How do you learn?"])
    questions: list[Line] = Field(min_length=1, max_length=50, examples=[["When?", "Where?"]])


class FormChange(Input):
    """The title can change; the questions cannot, they have answers."""

    title: Line = Field(examples=["How do you learn best?"])


class Form(Record):
    """Questions to others."""

    user_id: int
    title: str
    questions: list[str]


class NewResponse(Input):
    """One answer for each question, in order."""

    answers: list[Body] = Field(min_length=1, max_length=50, examples=[["At night", "At home"]])


class FormResponse(Record):
    """One user's answers."""

    form_id: int
    user_id: int
    answers: list[str]


def changes(change: Input) -> dict[str, object]:
    """List what a change names, without nulls."""
    return change.model_dump(exclude_unset=True, exclude_none=True)
