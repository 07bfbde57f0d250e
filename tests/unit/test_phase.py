"""The phases, their order, and the ramp's buckets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from syncline.cli.phase_shown import in_effect, shown
from syncline.engines.mongo.gates import Gate
from syncline.errors import PhaseError
from syncline.phases import FixedPhases, Phase, Phases, bucket, phase_named
from syncline.phases.phase import BUCKETS, ramped
from syncline.phases.standing import Standing

KEYS = [f"{number:024x}" for number in range(4000)]


def test_the_phases_have_an_order_that_is_not_the_alphabets():
    assert list(Phase) == ["off", "dual_write", "shadow", "ramp", "live", "complete"]
    assert max(Phase) is Phase.COMPLETE
    assert Phase.DUAL_WRITE > Phase.OFF
    assert Phase.RAMP < Phase.LIVE <= Phase.LIVE
    assert not Phase.COMPLETE < Phase.OFF
    assert Phase.SHADOW >= "dual_write"


def test_each_step_forward_has_its_step_back():
    way = [Phase.OFF]
    while (step := way[-1].next) is not None:
        assert step.before is way[-1]
        way.append(step)
    assert way == list(Phase)
    assert Phase.OFF.before is None


def test_the_truth_changes_with_live():
    assert [phase for phase in Phase if phase.postgresql_is_truth] == [Phase.LIVE, Phase.COMPLETE]


def test_in_complete_rows_are_written_though_mongodb_is_closed():
    closed = Gate(mode="n", number=2, opened=0, link=1)
    for phase, where in ((Phase.COMPLETE, "PostgreSQL"), (Phase.LIVE, "neither: it changes sides")):
        assert shown("tasks", Standing(phase), [], closed)["written_in"] == where


@pytest.mark.parametrize("text", ["dual_write", "dual-write", " Dual_Write "])
def test_a_phase_is_found_by_its_name(text):
    assert phase_named(text) is Phase.DUAL_WRITE


def test_an_unknown_phase_is_named_beside_those_that_are_known():
    with pytest.raises(PhaseError, match=r"no phase 'lve'\n.*off, dual_write, shadow, ramp, live, complete"):
        phase_named("lve")


def test_the_ramp_takes_its_percentage_and_no_key_leaves_it_while_it_rises():
    before: set[str] = set()
    for percent in (0, 0.5, 10, 50, 99, 100):
        phases = FixedPhases(Phase.RAMP, percent=percent)
        within = {key for key in KEYS if phases.reads_postgresql("tasks", key)}
        assert before <= within
        assert len(within) / len(KEYS) * 100 == pytest.approx(percent, abs=3)
        before = within
    assert len(before) == len(KEYS)


def test_a_key_has_one_bucket_whatever_is_asked_about_and_after_a_restart():
    here = [bucket(key) for key in KEYS[:20]]
    program = f"from syncline.phases import bucket; print([bucket(k) for k in {KEYS[:20]!r}])"
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert again.strip() == str(here)
    assert here[:3] == [5172, 1589, 8034]
    assert all(0 <= each < BUCKETS for each in here)
    phases = FixedPhases(Phase.RAMP, percent=50)
    assert all(phases.reads_postgresql("tasks", key) == phases.reads_postgresql("users", key) for key in KEYS)


def test_half_a_surrogate_has_a_bucket_too():
    assert ramped("\ud800", 100)


@pytest.mark.parametrize("phase", Phase)
def test_reads_are_postgresqls_from_live_on(phase):
    phases: Phases = FixedPhases(phase, percent=0)
    assert phases.reads_postgresql("tasks", "1") is (phase >= Phase.LIVE)


def test_collections_have_phases_of_their_own():
    phases = FixedPhases("dual-write", {"tasks": Phase.LIVE})
    assert phases.of("tasks") is Phase.LIVE
    assert phases.of("users") is Phase.DUAL_WRITE


@pytest.mark.parametrize("percent", [-1, 100.5, float("nan")])
def test_a_percentage_is_one(percent):
    with pytest.raises(PhaseError, match="between 0 and 100 percent"):
        FixedPhases(Phase.RAMP, percent=percent)


@pytest.mark.parametrize(("processes", "said"), [(0, "no process runs"), (1, "1 process"), (2, "2 processes")])
def test_processes_that_go_by_a_phase_are_counted(processes, said):
    assert in_effect({"behind": [], "processes": processes}) == f"yes, {said}"
