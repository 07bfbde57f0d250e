"""When a collection is looked at again: soon while documents come, rarely while none does."""

from __future__ import annotations

import pytest

from syncline.model.documents import Collection, DocumentMapping, Field, Part, ancestors
from syncline.relay.documents.following import FIRST_SECONDS, PART, Pace


def looks_until(pace: Pace, moment: float) -> int:
    """Look in vain as often as the pace says, until something comes."""
    count = 0
    while pace.next < moment:
        pace.looked(pace.next, came=False)
        count += 1
    return count


@pytest.mark.parametrize("gap", [0.005, 0.05, 0.5, 5.0])
def test_what_comes_at_some_distance_is_found_within_a_part_of_it(gap):
    pace = Pace(0.0, longest=2.0)
    pace.looked(0.0, came=True)
    looks_until(pace, gap)
    assert pace.next - gap <= max(gap / PART, FIRST_SECONDS)


def test_a_longer_wait_costs_few_more_looks():
    pace = Pace(0.0, longest=1000.0)
    pace.looked(0.0, came=True)
    found = [looks_until(pace, 0.1 * 2**n) for n in range(1, 10)]
    assert max(found[1:]) <= 6


def test_while_nothing_comes_it_is_looked_as_rarely_as_is_allowed():
    pace = Pace(0.0, longest=2.0)
    looks_until(pace, 3600.0)
    assert looks_until(pace, 3700.0) == 50
    pace.looked(3700.0, came=True)
    assert pace.next == 3700.0 + FIRST_SECONDS


def test_ancestors_come_parents_first_and_a_circle_has_an_end():
    def declared(name: str, *parents: str) -> DocumentMapping:
        columns = {f"of_{one}": Field("objectid", references=one) for one in parents}
        return DocumentMapping(Collection(name, part=Part(columns=columns)))

    given = [declared("a", "b", "a"), declared("b", "c"), declared("c"), declared("x", "y"), declared("y", "x", "z")]
    assert ancestors(given) == {"c": [], "b": ["c"], "a": ["c", "b"], "y": ["x"], "x": ["y"]}
