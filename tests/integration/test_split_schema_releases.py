"""The schema moves between two releases of PostgreSQL: to a newer one, and to an older one what that knows.

One is the release of the tests, so that ``make matrix`` plays it with every release; the other the newest, or the oldest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from syncline.embedded.postgres import BINARIES_VARIABLE
from syncline.split.schema.carrying import carry_out
from syncline.split.schema.comparing import compare
from syncline.split.schema.things import Phase
from tests import engines, programs, versions
from tests.debian import UnavailableError
from tests.integration.moving_case import create, planned

OLDEST, NEWEST = min(versions.RELEASES), max(versions.RELEASES)


@pytest.fixture(scope="module")
def another(postgres) -> Iterator[tuple[int, str]]:
    """A server of another release: which, and its address."""
    major = OLDEST if programs.server_major() == NEWEST else NEWEST
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            try:
                patched.setenv(BINARIES_VARIABLE, str(versions.binaries(major)))
            except UnavailableError as error:
                pytest.skip(str(error))
            server = stack.enter_context(engines.running_postgres())
        yield major, server.url


@pytest.fixture
def sides(postgres, another) -> Iterator[dict[int, psycopg.Connection]]:
    """A database on each, by release."""
    here = programs.server_major()
    with contextlib.ExitStack() as stack:
        urls = {here: postgres.url, another[0]: another[1]}
        fresh = {major: stack.enter_context(engines.fresh_database(url)) for major, url in urls.items()}
        yield {major: stack.enter_context(psycopg.connect(url, autocommit=True)) for major, url in fresh.items()}


@pytest.mark.parametrize("order", [min, max], ids=["to the newer", "to the older"])
def test_every_feature_that_both_releases_know_arrives(sides, order):
    source, target = (sides[major] for major in sorted(sides, reverse=order is max))
    create(source.info.dsn, min(sides))
    assert [one.message for one in planned(source, target).obstacles] == []
    for phase in Phase:
        carry_out(planned(source, target), target, phase)
    assert [str(one) for one in compare(source, target, planned(source, target).tables, opened=True)] == []


def test_what_an_older_release_does_not_know_is_said_before(sides):
    old, new = sorted(sides)
    if (old, new) != (OLDEST, NEWEST):
        pytest.skip(f"it is said of {NEWEST} and {OLDEST}")
    create(sides[new].info.dsn)
    told = {notice.message for notice in planned(sides[new], sides[old]).obstacles}
    assert told == {
        f"{what}, which PostgreSQL {old} lacks"
        for what in (
            "table ref.everything has a virtual generated column",
            "unique constraint no_two_nulls on ref.everything has NULLS NOT DISTINCT",
            "primary key periods_pkey on ref.periods has a key or foreign key over periods",
            "foreign key within_id_during_fkey on ref.within has a key or foreign key over periods",
            "check as_a_wish on ref.remark has a constraint that is not enforced",
        )
    }
