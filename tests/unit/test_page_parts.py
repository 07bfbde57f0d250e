"""The parts of the operations page that need no database: sessions, the hour in memory, the pages as files."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from syncline.web.auth import AdminCredential
from syncline.web.page.headers import POLICY
from syncline.web.page.history import History, Rates, Sample
from syncline.web.page.session import Session, Sessions
from tests.integration.test_docs_capture import run

TOKEN = "correct-horse-battery-staple"
FOLDER = files("syncline.web.page")


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(b"key", idle=timedelta(minutes=60), longest=timedelta(hours=12), clock=clock)


def test_a_session_is_read_back_from_its_cookie(sessions: Sessions):
    session = sessions.begin()
    assert sessions.read(sessions.cookie(session)) == session


def test_every_changed_character_makes_a_cookie_worthless(sessions: Sessions):
    cookie = sessions.cookie(sessions.begin())
    for place, character in enumerate(cookie):
        changed = cookie[:place] + ("a" if character != "a" else "b") + cookie[place + 1 :]
        assert sessions.read(changed) is None


@pytest.mark.parametrize(
    "cookie", [None, "", ".", "....", "1.a.b.c.d", "é.1.2.3", "\udce9", "1.x.0.99999999999." + "0" * 64]
)
def test_what_is_no_cookie_of_ours_is_nobody(sessions: Sessions, cookie: str | None):
    assert sessions.read(cookie) is None


def test_another_key_reads_no_cookie(sessions: Sessions, clock: Clock):
    assert Sessions(b"other", clock=clock).read(sessions.cookie(sessions.begin())) is None


def test_a_session_ends_when_it_is_idle_and_after_its_longest_time(sessions: Sessions, clock: Clock):
    session = sessions.begin()
    began = clock.now
    clock.now += 3599
    session = sessions.renewed(session)
    clock.now += 3599
    assert sessions.read(sessions.cookie(session)), "it was renewed"
    while clock.now < began + 12 * 3600 - 1800:
        session = sessions.renewed(session)
        clock.now += 1800
    assert sessions.read(sessions.cookie(session))
    session = sessions.renewed(session)
    clock.now = began + 12 * 3600 + 1
    assert sessions.read(sessions.cookie(session)) is None


def test_who_has_logged_out_cannot_come_back_with_an_old_cookie(sessions: Sessions):
    session, other = sessions.begin(), sessions.begin()
    cookie = sessions.cookie(session)
    sessions.end(session)
    assert sessions.read(cookie) is None
    assert sessions.read(sessions.cookie(sessions.renewed(session))) is None
    assert sessions.read(sessions.cookie(other))


def test_a_form_token_belongs_to_one_session(sessions: Sessions):
    one, other = sessions.begin(), sessions.begin()
    assert sessions.accepts(one, sessions.form_token(one))
    for wrong in (sessions.form_token(other), "", None, "é", "\udce9"):
        assert not sessions.accepts(one, wrong)


def test_the_credential_is_in_no_cookie_and_another_credential_signs_otherwise():
    one = Sessions(AdminCredential(TOKEN).key("operations page"))
    session = one.begin()
    assert TOKEN not in one.cookie(session)
    assert Sessions(AdminCredential(TOKEN).key("operations page")).read(one.cookie(session)), "another process"
    assert Sessions(AdminCredential(TOKEN + "2").key("operations page")).read(one.cookie(session)) is None
    unset = Sessions(AdminCredential(None).key("operations page"))
    forged = Sessions(AdminCredential(None).key("operations page")).cookie(Session("x", 0, 2**40))
    assert unset.read(forged) is None, "without a credential the key is random"


def sample(at: float, queue: int | None = 1, *, up: bool = True) -> Sample:
    return Sample(at, queue, None if queue is None else 0.5, 10.0, 0, up, True)


def test_an_hour_is_kept_and_not_more():
    history = History(span=3600, bucket=5)
    for second in range(0, 10_000, 2):
        history.add(sample(1_000_000 + second))
    points = history.points()
    assert len(points) == 721
    assert points[-1][0] - points[0][0] == 3600
    assert history.newest() == points[-1]


def test_a_stretch_keeps_the_highest_queue_and_the_mean_rate():
    history = History(span=60, bucket=10)
    for queue, rate in ((3, 10.0), (9, 20.0), (None, None), (2, 60.0)):
        history.add(Sample(1005, queue, 0.25, rate, 4, True, True))
    assert history.points() == [[1000, 9, 0.25, 30.0, 4, True, True]]


def test_what_could_not_be_measured_is_not_zero():
    history = History()
    history.add(Sample(1005, None, None, None, None, source_up=False, target_up=True))
    assert history.points() == [[1005, None, None, None, None, False, True]]


def test_a_clock_that_was_set_back_loses_nothing():
    history = History(span=60, bucket=10)
    for at in (1000, 1010, 940, 1005, 1020):
        history.add(sample(at))
    assert [point[0] for point in history.points()] == [1000, 1010, 1020]


def test_rates_come_from_totals(clock: Clock):
    rates = Rates(clock)
    assert rates.step({"a": 100}) is None
    clock.now += 2
    assert rates.step({"a": 150, "b": 10}) == 30
    clock.now += 0.1
    assert rates.step({"a": 151}) == 30, "too soon to tell"
    clock.now += 2
    assert rates.step({"b": 10}) == 0, "a worker that ended took nothing back"


def test_the_policy_allows_our_own_files_only():
    assert "unsafe" not in POLICY
    assert re.findall(r"(?:https?:|\*|data:)", POLICY) == []


@pytest.mark.parametrize("name", ["page.html", "login.html"])
def test_the_pages_have_no_script_style_or_address_of_elsewhere_in_them(name: str):
    page = FOLDER.joinpath(name).read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert not re.search(r"https?://", page)


def test_the_scripts_never_make_markup_of_data():
    for file in FOLDER.joinpath("static").iterdir():
        if file.name.endswith(".js"):
            text = file.read_text("utf-8")
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
                file
            )
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), file


def test_the_how_to_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "syncline.toml").write_text('[source]\nurl = "postgresql://h/d"\n[target]\nurl = "mongodb://h/d"\n')
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    names = run("operations-page.md", {})
    assert "/ops" in [route.path for route in names["app"].routes if hasattr(route, "path")]


def test_every_alert_has_its_place_in_the_runbook():
    from syncline.model.thresholds import Thresholds
    from syncline.web.page.runbook import anchor, runbook

    page = runbook()
    for bound in Thresholds().measures.values():
        for name in (bound.warning_name, bound.critical_name):
            assert f'id="{anchor(name)}"' in page, name
    assert "<script" not in page


@pytest.mark.parametrize(
    ("ages", "rate", "p50"),
    [([], {}, None), ([1, 2, 70], {"item": 0.0}, 5.0), ([1, 2, 3, 4], {"item": 1.0}, 5.0)],
    ids=["none", "some are older than a minute", "the blocks hold less than a minute"],
)
def test_the_newest_changes_are_summed_up(ages, rate, p50):
    from datetime import UTC, datetime, timedelta

    from syncline.web.page.recent import summary

    now = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {
            "entity": "item",
            "event_type": "item.created",
            "key": str(age),
            "created_at": now - timedelta(seconds=age, milliseconds=5),
            "processed_at": now - timedelta(seconds=age),
            "now": now,
        }
        for age in ages
    ]
    found = summary(rows)
    assert found["rates"] == rate
    assert found["latencyMs"]["p50"] == p50
    assert [event["key"] for event in found["events"]] == [str(age) for age in ages]
