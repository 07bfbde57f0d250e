"""Documents as rows of tables and back, exactly: the declaration of a collection and the mapping. Pure."""

from syncline.model.documents.declaration import Array, Collection, Field, Inner, Part
from syncline.model.documents.mapping import DocumentMapping
from syncline.model.documents.references import ancestors, parents_first
from syncline.model.documents.tables import Column, Rows, Table

__all__ = [
    "Array",
    "Collection",
    "Column",
    "DocumentMapping",
    "Field",
    "Inner",
    "Part",
    "Rows",
    "Table",
    "ancestors",
    "parents_first",
]
