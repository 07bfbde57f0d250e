"""What documents look like: the fields of a sample, with their types, how often they are there, how large. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.int64 import Int64

from syncline.model.documents.exact_json import INT32_MAX, INT32_MIN
from syncline.model.documents.kinds import kind_of
from syncline.model.documents.reading import first_fields, read
from syncline.model.strict_bson import Odd

MOST_TEXTS = 12
"""So many different texts of a field are remembered; one with more has no set of values."""
LONGEST_TEXT = 40
MOST_FIELDS = 3000
"""So many different names of a document are told apart; what has more is a map from names to values."""
SMALL, WHOLE = "int64 of a small number", "double of a whole number"


@dataclass(slots=True)
class FieldSurvey:
    """A field, or the elements of an array."""

    kinds: Counter[str] = field(default_factory=Counter)
    also: Counter[str] = field(default_factory=Counter)
    """Of some kinds, how many were ``SMALL`` or ``WHOLE``."""
    texts: set[str] = field(default_factory=set)
    document: DocumentSurvey | None = None
    items: FieldSurvey | None = None
    longest: int = 0
    """Elements of the longest array, characters of the longest text, bytes of the largest binary."""
    empty: int = 0
    """Arrays without an element."""
    place: float = 0
    """Sum of the places that it had among the fields of its documents."""

    @property
    def there(self) -> int:
        """How often it was there, null included."""
        return self.kinds.total()

    def add(self, value: Any) -> None:
        """Look at a value."""
        kind = kind_of(value)
        self.kinds[kind] += 1
        if kind == "document":
            self.document = self.document or DocumentSurvey()
            self.document.add(value)
        elif kind == "array":
            self._array(value)
        elif isinstance(value, (str, bytes)):
            self._long(value)
        elif type(value) is Int64 and INT32_MIN <= value <= INT32_MAX:
            self.also[SMALL] += 1
        elif isinstance(value, float) and value.is_integer():
            self.also[WHOLE] += 1

    def _array(self, value: list[Any]) -> None:
        self.items = self.items or FieldSurvey()
        self.longest, self.empty = max(self.longest, len(value)), self.empty + (not value)
        for item in value:
            self.items.add(item)

    def _long(self, value: str | bytes) -> None:
        self.longest = max(self.longest, len(value))
        if isinstance(value, str) and len(self.texts) <= MOST_TEXTS:
            self.texts.add(value[: LONGEST_TEXT + 1])


@dataclass(slots=True)
class DocumentSurvey:
    """Documents, or documents within them that stand at one path."""

    count: int = 0
    fields: dict[str, FieldSurvey] = field(default_factory=dict)
    largest: int = 0
    """Bytes of the largest."""
    odd: Counter[str] = field(default_factory=Counter)
    """Documents of which no driver says all, by why."""
    overflowed: bool = False
    """There are more names than are told apart."""

    def add_stored(self, document: bytes) -> None:
        """Look at a document as it is stored."""
        self.largest = max(self.largest, len(document))
        found = read(document)
        if isinstance(found, Odd):
            self.odd[found.what] += 1
            found = first_fields(document)
        self.add(found)

    def add(self, document: Mapping[str, Any]) -> None:
        """Look at a document."""
        self.count += 1
        for place, (name, value) in enumerate(document.items()):
            one = self.fields.get(name)
            if one is None:
                if len(self.fields) >= MOST_FIELDS:
                    self.overflowed = True
                    continue
                one = self.fields[name] = FieldSurvey()
            one.place += place
            one.add(value)

    def in_order(self) -> list[tuple[str, FieldSurvey]]:
        """List the fields in the order in which documents mostly have them."""
        return sorted(self.fields.items(), key=lambda pair: pair[1].place / pair[1].there)
