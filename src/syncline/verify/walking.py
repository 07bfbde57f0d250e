"""Which walk takes an entity's first looks."""

from __future__ import annotations

from syncline.ports import Plan
from syncline.verify.digest_look import RECORDS, DigestLook
from syncline.verify.first_look import FirstLook
from syncline.verify.pace import Pace
from syncline.verify.page_walk import PageWalk
from syncline.verify.sides import Sides
from syncline.verify.walk import Walk


def make_walk(sides: Sides, plan: Plan, pace: Pace, *, keys_only: bool) -> Walk:
    """Choose how first looks are taken: where the target sums up its records by itself, these need not travel."""
    source, digests, documents = sides.source, sides.inspection.digests, sides.inspection.documents
    if digests is not None and source.digests is not None:
        size = pace.page(RECORDS)
        return DigestLook(source.pages, source.digests, digests, plan, keys_only=keys_only, size=size)
    assert documents is not None  # noqa: S101  a target has one of the two
    look = FirstLook(sides, documents, plan, keys_only=keys_only)
    return PageWalk(source, look, plan, keys_only=keys_only, paced=pace.page)
