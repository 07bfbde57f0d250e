"""First looks that others take, part by part, in any order of their ends: what is found is what one process finds."""

from __future__ import annotations

import asyncio
import pickle
import random
from contextlib import aclosing
from datetime import timedelta
from itertools import islice

import pytest

from syncline import errors
from syncline.engines.memory import MemoryTarget
from syncline.errors import SynclineError, UnlikeWorkerError
from syncline.ports import Beat, Same, Stretch
from syncline.verify import part as parts
from syncline.verify import spread
from syncline.verify.one_pass import Options, Sides
from syncline.verify.pace import Pace
from syncline.verify.part import Part, look_at
from syncline.verify.report import Mode
from syncline.verify.spread import SpreadWalk
from syncline.verify.verifier import verify
from syncline.verify.walking import make_walk
from tests.memory_verification import MemoryInspection, MemoryPages
from tests.pairs import kinds
from tests.unit.test_verify_in_memory import KEYS, QUICK, ROWS, Both


def sent(value):
    """Give what arrives in another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  our own


class Cuts:
    """See ``syncline.ports.SourceDigests``: finds where a part ends, no more."""

    def __init__(self, database):
        self._pages = MemoryPages(database)

    async def boundary(self, plan, stretch, size):
        return next(islice(self._pages._keys(plan, stretch), size, None), None)


class Others:
    """Does parts as other processes would: with sides of its own, late by as much as chance will have it, perhaps twice."""

    def __init__(self, both, width=3):
        self.both, self.width = both, width
        self.asked: list[Part] = []
        self.at_a_time = self.most = 0
        self._turns = asyncio.Semaphore(width)

    async def run(self, job):
        self.asked.append(job)
        async with self._turns:
            self.at_a_time += 1
            self.most = max(self.most, self.at_a_time)
            await asyncio.sleep(random.random() / 500)
            for _ in range(random.choice((1, 2))):
                sides = Sides(self.both.side, MemoryInspection(self.both.target))
                looked = sent(await look_at(sides, self.both.plan, sent(job)))
            self.at_a_time -= 1
        return looked


@pytest.fixture(params=KEYS)
async def both(request, monkeypatch):
    monkeypatch.setattr("syncline.verify.page_walk.ROWS", 20)
    monkeypatch.setattr("syncline.verify.page_walk.KEYS", 20)
    monkeypatch.setattr(spread, "LEAST", 1)
    made = Both(KEYS[request.param])
    await made.fill()
    made.side.digests = Cuts(made.database)
    return made


def cut_into(monkeypatch, size):
    monkeypatch.setattr(spread, "FIRST", size)
    monkeypatch.setattr(spread, "MOST", size)


async def by_others(both, others=None, *, resume=False, **options):
    sides = Sides(both.side, MemoryInspection(both.target), executor=others or Others(both))
    values = {"patience": QUICK, **options, "mode": Mode(options.get("mode", "full"))}
    return await verify(sides, [both.plan], Options(**values), resume=resume)


def walk_of(both, others):
    sides = Sides(both.side, MemoryInspection(both.target), executor=others)
    here = make_walk(sides, both.plan, Pace(None), keys_only=False)
    limits = {"rate": None, "patience": timedelta()}
    return SpreadWalk(here, sides, both.side.digests, others, both.plan, keys_only=False, **limits)


@pytest.mark.parametrize("size", [1, 7, 33, 1000])
@pytest.mark.parametrize("mode", ["full", "keys"])
async def test_parts_of_any_size_find_what_one_walk_finds(both, monkeypatch, size, mode):
    expected = await both.damage()
    if mode == "keys":
        expected = {key: kind for key, kind in expected.items() if kind not in {"different", "unissued"}}
    cut_into(monkeypatch, size)
    one = (await both.verify(mode=mode)).entities[0]
    others = Others(both)
    report = await by_others(both, others, mode=mode)
    assert kinds(report) == expected
    many = report.entities[0]
    assert (many.records, many.documents) == (one.records, one.documents) == (ROWS, ROWS - 1)
    assert others.most == min(3, -(-ROWS // size))


async def test_equal_sides_have_one_certificate(both, monkeypatch):
    cut_into(monkeypatch, 30)
    report = await by_others(both)
    assert (report.exit_status, report.entities[0].records, report.entities[0].documents) == (0, ROWS, ROWS)
    ((_, certificate),) = both.side.certificates.certified
    assert (certificate.verdict, certificate.records) == ("equal", ROWS)


async def test_a_part_full_of_suspects_ends_early_and_its_rest_is_looked_at(both, monkeypatch):
    monkeypatch.setattr(parts, "SUSPECTS", 5)
    cut_into(monkeypatch, 90)
    await both.target.discard(both.entity, [both.of(number) for number in range(ROWS)])
    others = Others(both)
    report = await by_others(both, others)
    assert set(kinds(report)) == set(map(str, range(ROWS)))
    assert report.entities[0].records == ROWS
    assert len(others.asked) >= 11  # 90, 90 and 20 keys, in pages of 20


async def test_whoever_goes_on_from_any_step_misses_nothing_and_counts_nothing_twice(both, monkeypatch):
    cut_into(monkeypatch, 9)
    monkeypatch.setattr(parts, "SUSPECTS", 4)
    monkeypatch.setattr(spread, "BEAT_SECONDS", 0.0005)
    await both.damage()
    walk = walk_of(both, Others(both))
    await walk.begin()
    alike = await walk.side_by_side()

    async def walked(left, steps=10**9):
        found = []
        async with aclosing(walk.walk(left, both=alike)) as all_of_it:
            async for step in all_of_it:
                found.append(step)
                if len(found) == steps or step.over:
                    break
        return found

    def seen(steps):
        results = [step.result for step in steps]
        return (
            sorted(key for one in results for key in (*one.suspects, *one.extra)),
            [id_ for one in results for id_ in one.foreign],
            sum(step.records for step in steps),
        )

    whole = await walked(Stretch())
    assert not all(step.records for step in whole)  # some only say that they wait
    for steps in range(1, len(whole)):
        begun = await walked(Stretch(), steps)
        # a walk says that it waits as often as it has to: this one may be over in fewer steps than the first
        rest = [] if begun[-1].over else await walked(begun[-1].left)
        assert seen(begun + rest) == seen(whole)


@pytest.mark.parametrize("both", ["number"], indirect=True)
async def test_a_range_is_cut_within_its_bounds(both, monkeypatch):
    cut_into(monkeypatch, 6)
    await both.damage()
    others = Others(both)
    report = await by_others(both, others, first="100", end="160")
    assert kinds(report) == {"150": "different", "151": "missing"}
    assert (others.asked[0].stretch.first, others.asked[-1].stretch.end) == ("100", "160")
    assert report.entities[0].records == 60


async def test_the_rate_is_shared_by_all(both, monkeypatch):
    cut_into(monkeypatch, 50)
    others = Others(both)
    await by_others(both, others, rate=9_000_000)
    assert {part.rate for part in others.asked} == {3_000_000}


async def test_a_sample_is_taken_here(both):
    others = Others(both)
    await by_others(both, others, mode="sample", sample=5)
    assert others.asked == []


class Failing(Others):
    """Fails at the third part."""

    async def run(self, job):
        if len(self.asked) == 2:
            raise errors.TargetUnavailableError("gone", hint="come back")
        return await super().run(job)


async def test_its_error_is_the_pass_and_a_resumed_one_goes_on(both, monkeypatch):
    monkeypatch.setattr("syncline.verify.progress.SAVE_SECONDS", 0)
    monkeypatch.setattr("syncline.verify.progress.SAVE_SHARE", 0)
    cut_into(monkeypatch, 40)
    expected = await both.damage()
    with pytest.raises(errors.TargetUnavailableError, match="gone"):
        await by_others(both, Failing(both, 1))
    report = await by_others(both, resume=True)
    assert kinds(report) == expected
    assert report.entities[0].records == ROWS
    assert len(report.entities[0].resumed) == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("release", "it has Syncline 0, the command"),
        ("guard", "another source"),
        ("mapping", "maps item otherwise"),
        ("owner", "another target"),
    ],
)
async def test_whoever_is_unlike_the_command_is_refused(both, changed, words):
    same = await parts.same_of(both.side, MemoryInspection(both.target), both.plan)
    values = {name: getattr(same, name) for name in Same.__slots__}
    here = {**values, changed: "0"}
    with pytest.raises(UnlikeWorkerError, match=words):
        parts.require_same("item", same, Same(**here))
    theirs = Part("item", Stretch(), True, False, None, QUICK, Same(**here))
    with pytest.raises(UnlikeWorkerError):
        await look_at(both.sides, both.plan, theirs)


def beat_of(both, count, installation=None):
    ours, system = both.database.state.installation, both.database.identity.system
    return Beat(installation or ours, system, count)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (7, (8, None), None),
        (7, (7, None), None),
        (7, (6, None), "an older copy of the target"),
        (7, (9, "staging"), "another target"),
        (7, None, "an older copy of the target"),
        (None, None, None),
        (None, (1, None), None),
        (None, (1, "staging"), "another target"),
    ],
)
async def test_a_part_is_looked_at_in_the_target_of_the_command_only(both, ours, theirs, words):
    there = MemoryTarget()
    for target, stored in ((both.target, ours and (ours, None)), (there, theirs)):
        if stored:
            await target.beat(beat_of(both, *stored))
    same = await parts.same_of(both.side, MemoryInspection(both.target), both.plan)
    part = sent(Part("item", Stretch(), True, False, None, QUICK, same))
    elsewhere = Sides(both.side, MemoryInspection(there))
    if words is None:
        assert (await look_at(elsewhere, both.plan, part)).walked.over
        return
    with pytest.raises(UnlikeWorkerError, match=words):
        await look_at(elsewhere, both.plan, part)


async def test_a_job_that_asks_nothing_of_the_target_is_done_whatever_it_is(both):
    await both.target.beat(beat_of(both, 7))
    asked = await parts.same_of(both.side, None, both.plan)
    parts.require_same("item", asked, asked)
    parts.require_same("item", asked, await parts.same_of(both.side, MemoryInspection(both.target), both.plan))


def every_error(kind=SynclineError):
    yield kind
    for one in kind.__subclasses__():
        yield from every_error(one)


@pytest.mark.parametrize("kind", sorted(set(every_error()), key=lambda one: one.__name__))
def test_every_error_goes_to_another_process_as_it_is(kind):
    error = kind.__new__(kind, "said")
    SynclineError.__init__(error, "said", hint="do this")
    error.__dict__["more"] = [1]
    there = sent(error)
    assert (type(there), str(there), there.message, there.hint) == (kind, str(error), "said", "do this")
    assert (there.__dict__["more"], there.args) == ([1], error.args)
