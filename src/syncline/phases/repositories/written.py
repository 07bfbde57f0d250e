"""A repository whose writes somebody else makes: those of methods of one's own, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class DocumentWriter(Protocol):
    """What writes documents instead of the repository of the side that is the truth."""

    def create(self, repository: Any, document: Any) -> Any: ...
    def update(self, repository: Any, id_: Any, changes: Any, *, get: Callable[[Any], Any]) -> Any:
        """Set fields; ``get`` reads the document where the truth is then, which may have changed sides meanwhile."""
        ...

    def delete(self, repository: Any, id_: Any) -> Any: ...

    def is_behind(self, repository: Any) -> Any:
        """Tell whether PostgreSQL lacks what this process has written to the collection: then a ramp reads MongoDB."""
        ...


def written_by(repository: Any, writer: DocumentWriter, get: Callable[[Any], Any]) -> Any:
    """Give the same repository, of one state with it, but for its writes: the writer makes them.

    Its class is derived, so that ``self.create(…)`` in a method that writes comes to the writer.
    """
    kind = type(repository)

    class Written(kind):  # type: ignore[misc, valid-type]  # the caller's class
        def create(self, document: Any) -> Any:
            return writer.create(repository, document)

        def update(self, id: Any, changes: Any) -> Any:  # noqa: A002
            return writer.update(repository, id, changes, get=get)

        def delete(self, id: Any) -> Any:  # noqa: A002
            return writer.delete(repository, id)

    Written.__name__, Written.__qualname__ = kind.__name__, kind.__qualname__
    made = object.__new__(Written)
    made.__dict__ = repository.__dict__
    return made
