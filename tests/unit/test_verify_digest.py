"""The digest of a pass depends on the records and their order, and on nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from syncline.verify.digest import BLOCK, Digest


def bodies(count, first=0):
    return {b"%d" % (first + place): place for place in range(count)}


def digest_of(sizes):
    digest, done = Digest(), 0
    for size in sizes:
        digest.take(bodies(size, done), size)
        done += size
    return digest.final()


@given(st.lists(st.integers(0, 3 * BLOCK), max_size=6))
def test_it_does_not_depend_on_the_pages(sizes):
    assert digest_of(sizes) == digest_of([sum(sizes)])


@given(st.integers(0, 3), st.integers(0, 2 * BLOCK))
def test_it_goes_on_from_between_two_blocks(blocks, more):
    first = Digest()
    first.take(bodies(blocks * BLOCK), blocks * BLOCK)
    assert first.resumable
    second = Digest(first.state)
    second.take(bodies(more, blocks * BLOCK), more)
    assert second.final() == digest_of([blocks * BLOCK + more])


def test_it_stands_within_a_block_else():
    digest = Digest()
    digest.take(bodies(BLOCK + 1), BLOCK + 1)
    assert not digest.resumable


def test_records_that_cannot_be_encoded_keep_their_place():
    """Blocks count records, not bodies: a page with a gap ends where it would without."""
    gap = {body: place for body, place in bodies(BLOCK).items() if place != 7}
    digest = Digest()
    digest.take(gap, BLOCK)
    assert digest.resumable


def test_another_order_is_another_digest():
    first, second = Digest(), Digest()
    first.take({b"a": 0, b"b": 1}, 2)
    second.take({b"b": 0, b"a": 1}, 2)
    assert first.final() != second.final()
