"""What every repository of documents can do, whichever database it asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

from syncline.errors import RepositoryError
from syncline.phases.repositories.conditions import Where

Document = dict[str, Any]
Documents = list[Document]
_F = TypeVar("_F", bound=Callable[..., Any])
_reading: ContextVar[bool] = ContextVar("syncline_reading", default=False)


def writes(method: _F) -> _F:
    """Say of a method of your own that it writes: it then goes where the collection's truth is."""
    method.__dict__["syncline_writes"] = True
    return method


class AbstractRepository(ABC):
    """Documents of one collection, as dictionaries with their ``_id``.

    The answers are the same on both sides; ``docs/how-to/repositories.md`` says what that means for order, case,
    null, dates and ids. Over an asynchronous client each method is awaited.

        class Users(AbstractRepository):
            collection_name = "users"

            def get_by_email(self, email):
                return self.get_by("email_id", email)

        class UserRepository(Users, MongoRepository): ...
        class PostgresUserRepository(Users, PostgresRepository): ...
    """

    collection_name: ClassVar[str]

    @abstractmethod
    def get(self, id: Any) -> Any:  # noqa: A002  as everybody calls it
        """Give a document, or ``None``: of an id that no document can have, too. An ObjectId may be given as text."""

    @abstractmethod
    def list(self, where: Where = None, *, sort: Sequence[str] = (), limit: int | None = None, offset: int = 0) -> Any:
        """List documents.

        Args:
            where: conditions by path; of several mappings one has to hold.
            sort: paths, descending with ``-`` in front; then by ``_id``. Missing and null come before all values.
            limit: at most so many.
            offset: so many are left out before them.

        Raises:
            RepositoryError: a path has no column, or no order.

        """

    @abstractmethod
    def count(self, where: Where = None) -> Any:
        """Count documents."""

    @abstractmethod
    def exists(self, where: Where = None) -> Any:
        """Tell whether there is such a document."""

    @abstractmethod
    @writes
    def create(self, document: Mapping[str, Any]) -> Any:
        """Add a document, and give it as it is stored; without an ``_id`` it gets an ObjectId.

        Raises:
            AlreadyThereError: there is one of this id, or of this value where there may be only one.

        """

    @abstractmethod
    @writes
    def update(self, id: Any, changes: Mapping[str, Any]) -> Any:  # noqa: A002
        """Set fields of a document, and give it as it is then; ``None``: there is none.

        Raises:
            AlreadyThereError: a value of them is there already, where there may be only one.
            RepositoryError: a name is not a field's, or is ``_id``.

        """

    @abstractmethod
    @writes
    def delete(self, id: Any) -> Any:  # noqa: A002
        """Delete a document; tell whether there was one."""

    @abstractmethod
    def get_by(self, path: str, value: Any) -> Any:
        """Give the document that has a value, or ``None``; of several the one of the lowest ``_id``."""


@contextmanager
def reading() -> Iterator[None]:
    """Refuse writes in a block: what is asked on the side that follows must not write there."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def require_writing(collection: str) -> None:
    """See that a write may be made here.

    Raises:
        RepositoryError: a method that is said to read has called it.

    """
    if _reading.get():
        raise RepositoryError(
            f"a method that reads {collection} would write", hint="put the decorator `writes` before the method"
        )


def checked_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse what is no field at the top of a document.

    Raises:
        RepositoryError: it names the field.

    """
    for name in changes:
        if name in {"_id", "_sync", ""} or name.startswith("$") or "." in name:
            raise RepositoryError(
                f"{name!r} cannot be set", hint="changes are fields at the top of a document, with their whole values"
            )
    return dict(changes)


def checked_page(limit: int | None, offset: int) -> None:
    """Refuse pages that one of both databases would take otherwise.

    Raises:
        RepositoryError: a number is below 0.

    """
    if (limit is not None and limit < 0) or offset < 0:
        raise RepositoryError(f"limit {limit}, offset {offset}: neither may be below 0")
