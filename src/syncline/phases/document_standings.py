"""How documents stand on both sides, by their versions and marks: a difference that is on its way is no mismatch."""

from __future__ import annotations

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.model.documents.ids import identified
from syncline.phases.shadow.rules import Standing


class DocumentStandings:
    """Tells how a document stands; asked for differences that stay alone, so it opens both sides for each question.

    Args:
        documents: the declared collections, with both URLs.

    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def standing(self, collection: str, key: str) -> Standing | None:
        """Look at both sides' versions of a document, and whether it waits to be carried.

        Raises:
            SynclineError: a side does not answer, or no document can have this key.

        """
        declared = self._documents.only([collection])
        id_ = identified(declared.mappings[0], key)
        async with opened(declared) as link:
            truth = await MongoDocumentWrites(link.database).standing(collection, id_)
            other = await link.rows.version(collection, id_)
        waits = truth is not None and (truth.mark is not None or not truth.adopted)
        there = truth is not None and not truth.deleted
        return Standing(truth.version if truth and there else None, other[0] if other else None, waits)
