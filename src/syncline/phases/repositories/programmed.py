"""What the repositories of both databases share: a method is a program of steps, run at once or awaited."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson.objectid import ObjectId

from syncline.model.documents.query_shapes import QueryShape
from syncline.phases.repositories.abstract import (
    AbstractRepository,
    Document,
    Documents,
    checked_changes,
    require_writing,
)
from syncline.phases.repositories.conditions import Where
from syncline.phases.repositories.query_shapes import shapes
from syncline.phases.repositories.steps import Program


class ProgrammedRepository(AbstractRepository):
    """Over one database, whose driver blocks or is awaited."""

    is_async: bool
    asked: Callable[[QueryShape], None] | None = None
    """Is told what each query goes by."""

    @abstractmethod
    def _at_once(self, program: Program[Any]) -> Any: ...

    @abstractmethod
    async def _awaited(self, program: Program[Any]) -> Any: ...

    @abstractmethod
    def _listed(self, where: Where, sort: Sequence[str], limit: int | None, offset: int) -> Program[Documents]: ...

    @abstractmethod
    def _created(self, document: Document) -> Program[Document]: ...

    @abstractmethod
    def _updated(self, id_: Any, changes: Document) -> Program[Document | None]: ...

    @abstractmethod
    def _deleted(self, id_: Any) -> Program[bool]: ...

    def _note(self, where: Where) -> None:
        if self.asked is not None:
            for one in shapes(self.collection_name, where):
                self.asked(one)

    def _run(self, program: Program[Any]) -> Any:
        return self._awaited(program) if self.is_async else self._at_once(program)

    def _first(self, where: Where) -> Program[Document | None]:
        found: Documents = yield from self._listed(where, (), 1, 0)
        return found[0] if found else None

    def get(self, id: Any) -> Any:  # noqa: A002
        return self.get_by("_id", id)

    def get_by(self, path: str, value: Any) -> Any:
        self._note({path: value})
        return self._run(self._first({path: value}))

    def list(self, where: Where = None, *, sort: Sequence[str] = (), limit: int | None = None, offset: int = 0) -> Any:
        self._note(where)
        return self._run(self._listed(where, sort, limit, offset))

    def create(self, document: Mapping[str, Any]) -> Any:
        require_writing(self.collection_name)
        return self._run(self._created({"_id": ObjectId(), **document}))

    def update(self, id: Any, changes: Mapping[str, Any]) -> Any:  # noqa: A002
        require_writing(self.collection_name)
        return self._run(self._updated(id, checked_changes(changes)))

    def delete(self, id: Any) -> Any:  # noqa: A002
        require_writing(self.collection_name)
        return self._run(self._deleted(id))
