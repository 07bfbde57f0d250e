"""Values and names of every kind come back as they were."""

# ruff: noqa: RUF001  (some texts are odd on purpose)

from __future__ import annotations

import math
import uuid
from datetime import datetime
from typing import Any

import pytest
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from syncline.ports import Target
from syncline.testing.contract.calls import Calls, document


class Values(Calls):
    """No value is taken for an operator, no name for a path, no type for another."""

    async def test_values_that_look_like_operators_are_values(self, target: Target) -> None:
        """Through inserts and through updates."""
        odd = {"price": "$5", "ref": "$name", "expr": {"inner": "$$ROOT"}, "list": ["$a", {"b": "$b"}]}
        await self.insert(target, document(1, 1, **odd))
        await self.upsert(target, document(1, 2, **odd))
        await self.upsert(target, document(2, 2, **odd))
        assert await self.stored(target, 1) == document(1, 2, **odd)
        assert await self.stored(target, 2) == document(2, 2, **odd)

    @pytest.mark.parametrize("name", ["a.b", "$set", "$literal", "x.$", "", "with space", "ünïcode", ".", "a$b"])
    async def test_any_field_name_below_the_top_is_kept(self, target: Target, name: str) -> None:
        """JSON columns have them."""
        await self.insert(target, document(1, 1, data={name: 1}))
        await self.upsert(target, document(1, 2, data={name: {name: [{name: 2}]}}))
        await self.upsert(target, document(2, 1, data={name: 1}))
        assert (await self.stored(target, 1) or {})["data"] == {name: {name: [{name: 2}]}}
        assert (await self.stored(target, 2) or {})["data"] == {name: 1}

    @pytest.mark.parametrize("name", ["a.b", "a.b.c", "trailing.", "mid$dle"])
    async def test_a_dotted_field_name_at_the_top_is_kept(self, target: Target, name: str) -> None:
        """A column may be called so; it is no path."""
        await self.upsert(target, document(1, 1, **{name: 1}))
        await self.upsert(target, document(1, 2, **{name: 2}))
        assert (await self.stored(target, 1) or {})[name] == 2

    @pytest.mark.parametrize(
        "value",
        [
            Decimal128("0.1000000000000000055511151231257827"),
            Decimal128("-9.999999999999999999999999999999999E+6144"),
            Decimal128("1.50"),
            Decimal128("NaN"),
            Decimal128("Infinity"),
            uuid.UUID("12345678-1234-5678-1234-567812345678"),
            DatetimeMS(253402300800000),
            DatetimeMS(-62135596800001),
            DatetimeMS(-(2**63)),
            datetime(1, 1, 1),  # noqa: DTZ001
            datetime(9999, 12, 31, 23, 59, 59, 999000),  # noqa: DTZ001
            Int64(2**63 - 1),
            Int64(1),
            math.inf,
            -0.0,
            5e-324,
            b"\x00\xff",
            Binary(b"x", 128),
            "nul \x00 inside, 𝕌𝕟𝕚",
            "",
            [],
            {},
            [None, [1, [2]], {}],
            True,
        ],
        ids=repr,
    )
    async def test_a_value_comes_back_as_it_was(self, target: Target, value: Any) -> None:
        """Type included."""
        await self.insert(target, document(1, 1, value=value))
        await self.upsert(target, document(1, 2, value=value))
        found = (await self.stored(target, 1) or {})["value"]
        assert found == value
        assert repr(found) == repr(value)
