"""MongoDB's wire protocol: what drivers send becomes the command that the engine takes."""

import contextlib
import struct

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.embedded.mongo_wire import OP_MSG, OP_QUERY, ProtocolError, read_request, write_reply

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(bson.ObjectId)
    | st.just(bson.Regex("a.b", "i"))
    | st.just(bson.Code("f()"))
    | st.just(bson.Code("f()", {"x": 1}))
    | st.just(bson.Timestamp(1, 2))
    | st.just(bson.Decimal128("1.50"))
    | st.just(bson.MinKey())
    | st.just(bson.MaxKey()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)
names = st.text("abcdefgh", min_size=1)


def message(body: dict, *, flags: int = 0, **sequences: list[dict]) -> bytes:
    payload = struct.pack("<IB", flags, 0) + bson.encode(body)
    for name, documents in sequences.items():
        content = name.encode() + b"\0" + b"".join(map(bson.encode, documents))
        payload += struct.pack("<Bi", 1, len(content) + 4) + content
    return payload


@given(st.dictionaries(names, values, min_size=1))
def test_every_type_of_field_is_kept_as_it_is(body):
    request = read_request(OP_MSG, message(body | {"$db": "shop", "lsid": {"id": 1}}))
    assert (request.database, request.body) == ("shop", bson.encode(body))


def test_the_name_is_that_of_the_first_field():
    assert read_request(OP_MSG, message({"find": "orders", "$db": "shop"})).name == b"find"


@given(st.lists(st.dictionaries(names, values, max_size=2), max_size=20))
def test_a_document_sequence_becomes_an_array(documents):
    request = read_request(OP_MSG, message({"insert": "orders", "$db": "shop"}, documents=documents))
    assert request.body == bson.encode({"insert": "orders", "documents": documents})


def test_a_write_without_acknowledgement_wants_no_reply():
    assert not read_request(OP_MSG, message({"insert": "orders"}, flags=2)).wants_reply


def test_a_transaction_is_seen():
    assert read_request(OP_MSG, message({"insert": "orders", "txnNumber": 1})).in_transaction


def test_a_majority_of_one_server_is_its_journal():
    command = {"insert": "orders", "writeConcern": {"w": "majority", "wtimeout": 5}, "ordered": False}
    expected = {"insert": "orders", "writeConcern": {"w": 1, "j": True}, "ordered": False}
    assert read_request(OP_MSG, message(command)).body == bson.encode(expected)


def test_another_write_concern_is_kept():
    command = {"insert": "orders", "writeConcern": {"w": 1, "j": False}}
    assert read_request(OP_MSG, message(command)).body == bson.encode(command)


def test_the_first_hello_may_come_as_a_query():
    payload = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + bson.encode({"isMaster": 1})
    assert read_request(OP_QUERY, payload).name == b"isMaster"


@given(st.binary(max_size=60))
def test_noise_is_a_protocol_error_or_a_command_but_nothing_else(payload):
    with contextlib.suppress(ProtocolError):
        read_request(OP_MSG, payload)


def test_other_operations_are_refused():
    with pytest.raises(ProtocolError, match="operation 2012"):
        read_request(2012, b"")


def test_a_reply_names_its_request_and_its_length():
    body = bson.encode({"ok": 1.0})
    reply = write_reply(OP_MSG, reply_id=7, request_id=9, body=body)
    assert struct.unpack_from("<iiii", reply) == (len(reply), 7, 9, OP_MSG)
    assert reply.endswith(body)
