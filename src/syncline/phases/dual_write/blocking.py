"""The services for blocking callers: Django's views, scripts, threads."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Self, cast

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.documents.proving import PATIENCE
from syncline.forking import after_fork, leave_to_parent
from syncline.phases import Phases
from syncline.phases.dual_write.audit import AuditRule
from syncline.phases.dual_write.background import Background
from syncline.phases.dual_write.enhanced import AsyncEnhancedDualWriteService
from syncline.phases.dual_write.metadata import SyncMetadata, SyncStatus
from syncline.phases.dual_write.operations import BatchResult
from syncline.phases.dual_write.service import AsyncDualWriteService


def _ended(service: AsyncDualWriteService, background: Background) -> None:
    """Close a service that has been used, at the latest when the process ends."""
    if background.is_running:
        background.run(service.close())
        background.close()


class DualWriteService:
    """``AsyncDualWriteService`` for blocking callers, from any number of threads.

        service = DualWriteService()
        service.create_document("users", {"name": "Ada"}, mongo_id=str(ObjectId()))

    Parameters, results and errors are those of the asynchronous service. It opens with the first call; a process that
    is forked later opens its own.
    """

    _kind: type[AsyncDualWriteService] = AsyncDualWriteService

    def __init__(
        self,
        documents: Documents | None = None,
        *,
        phases: Phases | None = None,
        settings: DualWriteSettings | None = None,
        audit: Mapping[str, AuditRule] = MappingProxyType({}),
    ) -> None:
        self._begin(self._kind(documents, phases=phases, settings=settings, audit=audit))
        after_fork(self._forked)

    def _forked(self) -> None:
        """Begin anew before anybody calls: the loop's thread is the parent's, and so are the sessions."""
        self._at_exit.detach()
        leave_to_parent((self._service, self._background))
        self._begin(self._service.anew())

    def _begin(self, service: AsyncDualWriteService) -> None:
        self._service, self._background = service, Background()
        self._at_exit = weakref.finalize(self, _ended, self._service, self._background)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sessions and the loop; what PostgreSQL has not got stays marked."""
        _ended(self._service, self._background)

    def create_document(self, collection_name: str, data: Mapping[str, Any], mongo_id: Any) -> bool:
        """Create a document; False: there is one of this id."""
        return self._background.run(self._service.create_document(collection_name, data, mongo_id))

    def update_document(self, collection_name: str, mongo_id: Any, data: Mapping[str, Any]) -> bool:
        """Set fields at the top of a document, the others stay; False: there is none of this id."""
        return self._background.run(self._service.update_document(collection_name, mongo_id, data))

    def delete_document(self, collection_name: str, mongo_id: Any) -> bool:
        """Delete a document; False: there is none of this id."""
        return self._background.run(self._service.delete_document(collection_name, mongo_id))

    def get_sync_status(self, collection_name: str, mongo_id: Any) -> SyncStatus | None:
        """Tell how far a document is: SYNCED, PENDING or FAILED. None: there is none."""
        return self._background.run(self._service.get_sync_status(collection_name, mongo_id))

    def get_sync_metadata(self, collection_name: str, mongo_id: Any) -> SyncMetadata | None:
        """Tell how far a document is, and why. None: there is none."""
        return self._background.run(self._service.get_sync_metadata(collection_name, mongo_id))

    def token(self) -> str:
        """Give a token for everything that was written before, by whomever; see ``verified``."""
        return self._background.run(self._service.token())

    def verified(self, token: str, *, collection_name: str | None = None, timeout: timedelta = PATIENCE) -> bool:
        """Wait until all that was written before a token has been compared on both sides, and is equal there."""
        return self._background.run(self._service.verified(token, collection_name=collection_name, timeout=timeout))

    def is_behind(self, collection_name: str) -> bool:
        """Tell whether PostgreSQL lacks a document that this process has written by this service."""
        return self._background.run(self._service.is_behind(collection_name))

    def get_sync_failures(self, collection_name: str | None = None, *, limit: int = 1000) -> list[dict[str, Any]]:
        """List the documents that the other side, or the mapping, did not take, the newest first."""
        return self._background.run(self._service.get_sync_failures(collection_name, limit=limit))

    def retry_failed(self, collection_name: str | None = None, mongo_id: Any = None) -> int:
        """Let what was rejected be tried again by the worker, at once, with all attempts before it."""
        return self._background.run(self._service.retry_failed(collection_name, mongo_id))


class EnhancedDualWriteService(DualWriteService):
    """``AsyncEnhancedDualWriteService`` for blocking callers."""

    _kind = AsyncEnhancedDualWriteService

    def _enhanced(self) -> AsyncEnhancedDualWriteService:
        return cast(AsyncEnhancedDualWriteService, self._service)

    def batch_operations(self, operations: Sequence[Mapping[str, Any]]) -> BatchResult:
        """Do many operations: for each collection one bulk write in MongoDB, and one transaction in PostgreSQL."""
        return self._background.run(self._enhanced().batch_operations(operations))

    def get_sync_metrics(self) -> dict[str, Any]:
        """Say how far PostgreSQL is, and what this process has done."""
        return self._background.run(self._enhanced().get_sync_metrics())
