"""Doing parts of the work on collections in a process that has a declaration of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from syncline.config.documents import Documents, load_documents
from syncline.documents.copying import DocumentCopier
from syncline.documents.opening import DocumentLink
from syncline.documents.parts import CopyPart, LookPart
from syncline.documents.standing import opened_standing
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.postgres.documents.passes import DocumentPasses
from syncline.errors import ConfigError, SourceUnavailableError, TargetUnavailableError, UnlikeWorkerError
from syncline.model.documents import DocumentMapping
from syncline.model.link import UNNAMED, Link
from syncline.ports import Same
from syncline.verify.part import require_same
from syncline.version import __version__


@dataclass(frozen=True, slots=True)
class DocumentWork:
    """See ``syncline.ports.Work``: jobs about collections."""

    documents: Documents

    @property
    def link(self) -> Link:
        """The one without a name, as every link of documents."""
        return UNNAMED

    @property
    def origin(self) -> OfCollections:
        """The names of the collections."""
        return OfCollections(tuple(mapping.collection.name for mapping in self.documents.mappings))

    def performer(self, stack: AsyncExitStack) -> DocumentPerformer:
        """Make what does jobs by this declaration."""
        return DocumentPerformer(self.documents, stack)


@dataclass(frozen=True, slots=True)
class OfCollections:
    """See ``syncline.ports.Origin``."""

    names: tuple[str, ...]

    def work(self) -> DocumentWork:
        """Read the declaration of these collections."""
        return DocumentWork(load_documents().only(self.names))


class Likeness:
    """Says what those who do parts must share; a session of its own. Close it when done.

    Args:
        documents: the declaration.

    """

    def __init__(self, documents: Documents) -> None:
        self._passes = DocumentPasses(documents.url("target"))

    async def of(self, mapping: DocumentMapping) -> Same:
        """Say it of a collection."""
        return Same(__version__, await self._passes.guard(), mapping.fingerprint)

    async def close(self) -> None:
        """End the session."""
        await self._passes.close()


class DocumentPerformer:
    """See ``syncline.ports.Performer``.

    What jobs need is opened with the first one, in the task that asks for it, and closed with the stack; or after a job
    for which a side did not answer, so that the next one has connections that are not lost.

    Args:
        documents: the declaration.
        stack: closes what was opened.

    """

    def __init__(self, documents: Documents, stack: AsyncExitStack) -> None:
        self._documents = documents
        self._kept = AsyncExitStack()
        stack.push_async_callback(self._close)
        self._link: DocumentLink | None = None
        self._likeness = Likeness(documents)
        self._verifier: DocumentVerifier | None = None
        self._copier: DocumentCopier | None = None

    async def perform(self, job: Any) -> Any:
        """Do a job.

        Raises:
            SynclineError: as of the job.

        """
        if not isinstance(job, (LookPart, CopyPart)):
            raise TypeError(f"no job: {type(job).__name__}")
        try:
            return await self._done(job)
        except (SourceUnavailableError, TargetUnavailableError):
            await self._close()
            raise

    async def _close(self) -> None:
        self._link = self._verifier = self._copier = None
        await self._kept.aclose()

    async def _done(self, job: LookPart | CopyPart) -> Any:
        link = await self._opened()
        try:
            mapping = link.mapping(job.collection)
        except ConfigError as error:
            raise UnlikeWorkerError(error.message, hint=error.hint) from None
        require_same(job.collection, job.same, await self._likeness.of(mapping))
        if isinstance(job, LookPart):
            if self._verifier is None:
                self._verifier = DocumentVerifier(link)
                self._kept.push_async_callback(self._verifier.close)
            return await self._verifier.look_at(job)
        if self._copier is None:
            self._copier = DocumentCopier(link)
            self._kept.push_async_callback(self._copier.close)
        return await self._copier.carry(job)

    async def _opened(self) -> DocumentLink:
        if self._link is None:
            self._link = await self._kept.enter_async_context(opened_standing(self._documents))
            self._kept.push_async_callback(self._likeness.close)
        return self._link
