"""A page is compared like its records one by one, however the documents are encoded."""

from __future__ import annotations

import bson
from hypothesis import given
from hypothesis import strategies as st

from syncline.engines.mongo.writes import CODEC
from syncline.model.canonical import differences
from syncline.model.mark import ticket
from syncline.model.tickets import issued
from syncline.model.values import EPOCH
from syncline.verify.comparison import compare_page, encode_page

VALUES = st.one_of(st.integers(-3, 3), st.floats(), st.text(max_size=2), st.none(), st.booleans())
RECORDS = st.dictionaries(st.integers(0, 8), VALUES, max_size=8)
BOUND = ticket(3, 0)
OLD = ticket(1, 1)


def document(id_, value, number=OLD):
    return {"_id": id_, "v": value, "_originalId": str(id_), "_syncedAt": EPOCH, "_v": number}


def encode(one):
    return bson.encode(one, codec_options=CODEC)


def compared(source, target, *, encoded=None):
    keys = [str(id_) for id_ in source]
    page = encode_page([document(*item) for item in source.items()], keys, encode)
    found = encoded if encoded is not None else [encode(document(*item)) for item in target.items()]
    return compare_page(
        page,
        found,
        decode=lambda data: bson.decode(data, codec_options=CODEC),
        key_text=str,
        same=lambda left, right: not differences(left, right),
        bound=BOUND,
    )


@given(RECORDS, RECORDS)
def test_suspects_are_exactly_the_records_that_differ_or_are_missing(source, target):
    expected = {
        str(id_)
        for id_, value in source.items()
        if id_ not in target or differences(document(id_, value), document(id_, target[id_]))
    }
    assert compared(source, target).suspects == expected


@given(RECORDS, st.randoms())
def test_the_order_of_fields_and_documents_does_not_matter(source, chance):
    found = []
    for item in source.items():
        fields = list(document(*item).items())
        chance.shuffle(fields)
        found.append(encode(dict(fields)))
    chance.shuffle(found)
    assert compared(source, {}, encoded=found).suspects == set()


def test_equal_records_with_a_ticket_above_the_bound_are_handed_on():
    found = [encode(document(1, "a", ticket(3, 7))), encode(document(2, "b", ticket(2, 7)))]
    result = compared({1: "a", 2: "b"}, {}, encoded=found)
    assert (result.suspects, result.tickets) == (set(), [("1", ticket(3, 7))])


def test_an_equal_record_without_a_proper_ticket_is_suspect():
    one = document(1, "a")
    del one["_v"]
    assert compared({1: "a"}, {}, encoded=[encode(one)]).suspects == {"1"}


def test_a_record_that_cannot_be_encoded_is_suspect():
    page = encode_page([document(1, object()), document(2, 2)], ["1", "2"], encode)
    assert (page.suspects, list(page.bodies.values())) == ({"1"}, [1])


def test_a_ticket_is_issued_up_to_the_end_of_its_epoch():
    assert issued({"_v": ticket(3, 2**31 - 1)}, 3)
    assert not issued({"_v": ticket(4, 0)}, 3)
    assert issued({"_v": 0}, 0)
    assert not any(issued({"_v": value}, 9) for value in (None, True, "1", -1, float("nan"), [1]))
