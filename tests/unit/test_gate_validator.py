"""The validator that admits one number of a gate: what it is made of, what it keeps, and whose refusal one is."""

from __future__ import annotations

import pytest
from pymongo.errors import BulkWriteError, OperationFailure, WriteError

from syncline.capture.documents.gate import passing
from syncline.capture.documents.validator import Validator, is_of_gate, validator_in
from syncline.engines.mongo.gates import Gate, gates_in
from syncline.engines.mongo.validators import KeptBy, Validators
from syncline.errors import GateClosedError, UnknownOutcomeError, UnmarkableError

USERS = {"$jsonSchema": {"required": ["n"]}}
OF_GATE = {"code": 121, "errInfo": {"details": {"operatorName": "$eq", "specifiedAs": {"_sync.c": {"$eq": 7}}}}}
OF_USER = {"code": 121, "errInfo": {"details": {"operatorName": "$lte", "specifiedAs": {"n": {"$lte": 7}}}}}


class Open:
    """A gate that is open, by what its process knows."""

    def admitted(self, _collection):
        return 5

    def holds(self, _collection, _number):
        return True


@pytest.mark.parametrize("rule", [{}, USERS, {"$and": [{"n": 1}, {"m": 2}]}])
@pytest.mark.parametrize(
    ("level", "action"), [("strict", "error"), ("strict", "errorAndLog"), ("moderate", "error"), ("strict", "warn")]
)
def test_a_validator_of_the_users_own_is_kept_within_ours_and_put_back(rule, level, action):
    users = validator_in({"validator": rule, "validationLevel": level, "validationAction": action})
    assert users == Validator(rule, level, action, None)
    ours = Validator(rule, level, action, 7)
    assert ours.options["validationLevel"] == "strict"
    assert ours.options["validationAction"] == "error"
    assert validator_in(ours.options) == ours
    back = Validator(ours.rule, ours.level, ours.action).options
    assert back == {"validator": rule, "validationLevel": level, "validationAction": action}


@pytest.mark.parametrize(
    ("level", "action", "refuses"),
    [("strict", "error", True), ("strict", "errorAndLog", True), ("moderate", "errorAndLog", False)],
)
def test_a_rule_of_the_users_own_that_refuses_goes_on_refusing(level, action, refuses):
    assert (USERS in Validator(USERS, level, action, 7).options["validator"]["$and"]) is refuses


@pytest.mark.parametrize("code", [59, 115, 238])
def test_a_server_without_collmod_says_so_in_several_ways(code):
    class Without:
        def command(self, command):
            assert command["maxTimeMS"] == 500
            raise OperationFailure("no such command", code)

    assert Validators(Without()).kept_by("tasks") is KeptBy.NO_COMMAND


def test_a_collmod_that_waits_for_a_lock_ends():
    told = []

    class Server:
        def list_collections(self, **_):
            return [{"name": "tasks"}]

        def command(self, command):
            told.append(command)
            return {"ok": 1.0}

    Validators(Server()).admit("tasks", 7)
    assert told[0]["maxTimeMS"] == 500


def test_a_collection_without_a_validator_gets_the_servers_defaults_back():
    assert validator_in({}).options == {"validator": {}, "validationLevel": "strict", "validationAction": "error"}


def test_the_server_says_whose_rule_was_broken():
    assert is_of_gate(WriteError("refused", 121, OF_GATE))
    assert is_of_gate(BulkWriteError({"writeErrors": [OF_USER, OF_GATE]}))
    assert not is_of_gate(WriteError("refused", 121, OF_USER))
    assert not is_of_gate(OperationFailure("another", 13, OF_GATE | {"code": 13}))
    wrapped = ValueError("as a refusal of the document")
    wrapped.__cause__ = WriteError("refused", 121, OF_GATE)
    assert is_of_gate(wrapped)


@pytest.mark.parametrize(
    ("gate", "many", "kind"),
    [(Open(), False, GateClosedError), (Open(), True, UnknownOutcomeError), (None, False, UnmarkableError)],
)
def test_who_is_refused_by_mongodb_itself_is_told_what_became_of_it(gate, many, kind):
    with pytest.raises(kind), passing(gate, "tasks", many=many):
        raise WriteError("refused", 121, OF_GATE)
    with pytest.raises(WriteError), passing(gate, "tasks", many=many):
        raise WriteError("refused", 121, OF_USER)


def test_each_mode_has_one_number_and_without_a_validator_carriers_say_what_opened():
    modes = {"a": 3, "l": 4, "n": 5}
    for mode, number in modes.items():
        assert Gate(mode, 5, 3, 4, validated=True).admitted == number
        assert Gate(mode, 5, 3, 4, validated=True).carrying == number
        assert (Gate(mode, 5, 3, 4).admitted, Gate(mode, 5, 3, 4).carrying) == (0, 3)


def test_a_gate_that_a_later_release_says_more_of_can_be_read():
    said = {"name": "tasks", "mode": "a", "number": 1, "opened": 1, "link": 0, "of_a_later_release": True}
    assert gates_in({"gates": [said]}) == {"tasks": Gate("a", 1, 1, 0)}
