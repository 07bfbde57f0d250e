"""Lanes, beats and probes: what a target remembers for its workers."""

from __future__ import annotations

from syncline.ports import Beat, Target
from syncline.testing.contract.calls import Calls, document


class Control(Calls):
    """Epochs only rise, beats only count up, and neither is a record."""

    async def test_lanes_are_unknown_at_first(self, target: Target) -> None:
        """A new target has no past."""
        assert await target.lane_epochs() == {}
        assert await target.announce({}) == set()

    async def test_an_epoch_is_announced(self, target: Target) -> None:
        """Per lane."""
        assert await target.announce({0: 3, 63: 3}) == {0, 63}
        assert await target.announce({1: 4}) == {1}
        assert await target.lane_epochs() == {0: 3, 1: 4, 63: 3}

    async def test_a_lower_epoch_is_not_announced(self, target: Target) -> None:
        """Somebody has acquired the lane since."""
        await target.announce({0: 9, 1: 2})
        assert await target.announce({0: 8, 1: 8}) == {1}
        assert await target.lane_epochs() == {0: 9, 1: 8}

    async def test_a_lost_reply_to_an_announcement_can_be_repeated(self, target: Target) -> None:
        """An epoch belongs to one acquisition: who announces it again has announced it."""
        await target.announce({0: 3})
        assert await target.announce({0: 3}) == {0}

    async def test_a_beat_returns_what_was_there(self, target: Target) -> None:
        """First nothing, then the one before."""
        first, second = Beat("i", "s", 1), Beat("i", "s", 2)
        assert await target.read_beat() is None
        assert await target.beat(first) is None
        assert await target.beat(second) == first
        assert await target.read_beat() == second

    async def test_a_late_beat_does_not_turn_the_count_back(self, target: Target) -> None:
        """A renewal of another worker may have been quicker."""
        await target.beat(Beat("i", "s", 5))
        assert await target.beat(Beat("i", "s", 4)) == Beat("i", "s", 5)
        assert await target.read_beat() == Beat("i", "s", 5)

    async def test_a_new_installation_starts_counting_again(self, target: Target) -> None:
        """Whatever the old one had counted to."""
        await target.beat(Beat("old", "s", 500))
        assert await target.beat(Beat("new", "s", 1)) == Beat("old", "s", 500)
        assert await target.read_beat() == Beat("new", "s", 1)

    async def test_another_systems_beat_stays_unless_it_is_named(self, target: Target) -> None:
        """However high the count: a copy of the source does not take the target over by writing to it."""
        theirs, mine = Beat("i", "theirs", 5), Beat("i", "mine", 9, nonce="n", worker="w")
        await target.beat(theirs)
        assert await target.beat(mine) == theirs
        assert await target.read_beat() == theirs
        assert await target.beat(mine, over="theirs") == theirs
        assert await target.read_beat() == mine

    async def test_a_healthy_target_passes_its_probe(self, target: Target) -> None:
        """And says what it is."""
        await target.probe()
        await target.probe()
        assert (await target.ping())["version"]

    async def test_control_records_are_not_in_the_collections(self, target: Target) -> None:
        """A walk sees records only."""
        await target.announce({0: 1})
        await target.beat(Beat("i", "s", 1))
        await target.probe()
        await self.insert(target, document(1, 1))
        assert await self.everything(target) == [1]
