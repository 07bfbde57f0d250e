"""What queries of repositories go by: paths that an index can serve."""

from __future__ import annotations

import pytest

from syncline.model.documents.query_shapes import QueryShape
from syncline.phases.repositories import Between, Contains, Missing, Not, OneOf, StartsWith
from syncline.phases.repositories.query_shapes import shapes
from syncline.phases.shadow import report
from syncline.phases.shadow.report import Report


@pytest.mark.parametrize(
    ("where", "equal", "ranged"),
    [
        ({"status": "open", "owner": None}, ("owner", "status"), ()),
        ({"owner": OneOf("a", "b"), "due": Between(at_least=1)}, ("owner",), ("due",)),
        ({"title": StartsWith("a"), "team": Missing()}, ("team",), ("title",)),
        ({"title": Contains("a"), "status": "open", "owner": Not("x")}, ("status",), ()),
    ],
)
def test_a_query_goes_by_the_paths_whose_values_an_index_finds(where, equal, ranged):
    assert list(shapes("tasks", where)) == [QueryShape("tasks", equal, ranged)]


@pytest.mark.parametrize("where", [None, {}, [], {"_id": "x", "status": "open"}, {"title": Contains("a")}])
def test_a_query_that_no_index_or_the_primary_key_serves_has_none(where):
    assert list(shapes("tasks", where)) == []


def test_each_alternative_is_a_query_of_its_own():
    assert list(shapes("tasks", [{"owner": "a"}, {"team": "b"}])) == [
        QueryShape("tasks", ("owner",)),
        QueryShape("tasks", ("team",)),
    ]


def test_each_is_given_out_once_and_again_where_it_was_not_kept():
    told = Report()
    for path in ("owner", "owner", "team"):
        told.asked(QueryShape("tasks", (path,)))
    found = told.take_queries()
    assert found == {QueryShape("tasks", ("owner",)), QueryShape("tasks", ("team",))}
    told.asked(QueryShape("tasks", ("team",)))
    assert told.take_queries() == frozenset()
    told.give_back_queries(found)
    assert told.take_queries() == found


def test_there_is_a_bound(monkeypatch):
    monkeypatch.setattr(report, "QUERIES", 2)
    told = Report()
    for number in range(5):
        told.asked(QueryShape("tasks", (f"p{number}",)))
    assert len(told.take_queries()) == 2
