"""The operations page in a real browser: live, safe against script in data, usable by keyboard and on a telephone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from pymongo import MongoClient

from syncline.config import HistorySettings
from syncline.embedded.postgres import PrivatePostgres
from tests import chromium
from tests.chromium import Tab
from tests.pages import EVIL, Served, park, serving
from tests.relay import Relay, relayed

CONTRASTS = Path(__file__).with_name("contrasts.js").read_text("utf-8")
NAMES = """[...document.querySelectorAll("button, input, summary, [tabindex='0'], dialog, table")]
  .filter(e => e.type !== "hidden" && !e.hidden).filter(e => {
    const label = e.getAttribute("aria-label") || document.getElementById(e.getAttribute("aria-labelledby"))?.textContent
      || e.querySelector(":scope > caption")?.textContent || (e.labels?.[0] ?? e).innerText || e.textContent;
    return !label.trim() }).map(e => e.outerHTML.slice(0, 200))"""


TICKS = """[...document.querySelectorAll(".plot")].map(plot =>
  [...plot.querySelectorAll("text[text-anchor=end]")].map(e => [e.textContent, Number(e.getAttribute("y"))]))"""
"""What stands at the left of each plot, from the bottom up."""
COVERED = """[...document.querySelectorAll(".stack tbody tr")].flatMap(row => {
  const cells = [...row.cells].map(cell => {
    const range = document.createRange(); range.selectNodeContents(cell);
    const bottom = cell.getBoundingClientRect().bottom; // what is longer is cut off
    return [cell, [...range.getClientRects()].filter(r => r.width > 1 && r.height > 1 && r.top < bottom)
      .map(r => ({left: r.left, right: r.right, top: r.top, bottom: Math.min(r.bottom, bottom)}))] });
  const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
  return cells.flatMap(([one, mine], place) => cells.slice(place + 1).filter(([, theirs]) =>
    mine.some(a => theirs.some(b => !apart(a, b)))).map(([other]) => `${one.outerHTML} under ${other.outerHTML}`.slice(0, 300))) })"""
"""Cells whose contents lie over each other."""
EMPTY = """[...document.querySelectorAll(".stack td[data-label]")].filter(e => !e.innerText.trim() && e.getClientRects().length)
  .map(e => e.outerHTML)"""
"""Labels that nothing follows."""


HEARD = """window.heard = []; new MutationObserver(() => heard.push(document.getElementById("announce").textContent))
  .observe(document.getElementById("announce"), {childList: true, characterData: true, subtree: true})"""


@pytest.fixture(autouse=True, scope="module")
def _browser() -> None:
    try:
        chromium.command()
    except chromium.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
async def relay(database: str, mongo_url: str, mongo_db: str) -> AsyncIterator[Relay]:
    async with relayed(database, (mongo_url, mongo_db), grace=timedelta(seconds=60)) as relay:
        yield relay


@asynccontextmanager
async def visited(served: Served) -> AsyncIterator[Tab]:
    """Log in through the printed link, and wait until the page lives."""
    async with chromium.browser() as tab:
        await tab.look()
        await tab.open(served.way_in)
        await tab.until("document.body.dataset.seen")
        await tab.run(HEARD)
        yield tab


def number(label: str) -> float:
    """Read what stands at an axis."""
    value, thousands = label.removesuffix(" s").lower(), {"k": 1e3, "m": 1e6}
    return float(value.rstrip("km").replace(",", "")) * thousands.get(value[-1], 1)


async def says(tab: Tab, text: str) -> None:
    """Wait until a screen reader was told something."""
    await tab.until(f"window.heard.some(said => said.includes({json.dumps(text)}))")


async def look_at(tab: Tab, *widths: int) -> None:
    """See that a page can be read: names, contrasts, widths."""
    assert await tab.run(NAMES) == [], "everything that can be used has a name"
    for dark in (False, True):
        await tab.look(dark=dark)
        assert await tab.run(CONTRASTS) == [], "every text stands out from its ground"
    for width in widths or (320, 390):
        await tab.look(width=width, height=800)
        await tab.until(f"innerWidth === {width}")
        assert await tab.run("document.documentElement.scrollWidth") == width, "nothing is cut off at the side"
        if width < 700:
            assert await tab.run(COVERED) == [], "nothing is printed over something else"
            assert await tab.run(EMPTY) == [], "what is empty has no label"
    await tab.look()


async def shows(tab: Tab, selector: str, text: str) -> None:
    await tab.until(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")


def working(relay: Relay, name: str = "cedar", lanes: int = 10) -> None:
    """Have a worker that looks alive, as its row in the source tells it."""
    relay.sql(
        "WITH w AS (INSERT INTO syncline.worker (id, name, version, expires_at, report) VALUES (gen_random_uuid(), %s,"
        " '0.1.0', now() + interval '1 hour', '{\"applied\": 1234, \"rate\": 5}') RETURNING id)"
        " UPDATE syncline.lane SET owner = w.id FROM w WHERE lane < %s",
        name, lanes,
    )  # fmt: skip


async def test_what_happens_shows_without_a_reload(relay: Relay, tmp_path: Path):
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            await tab.run("window.mark = 1")
            await shows(tab, "#health.healthy", "healthy")
            for part, text in {"#feed": "live", "#workers-empty": "None is running", "#parked-empty": "None."}.items():
                await shows(tab, part, text)
            working(relay)
            park(relay, "1")
            relay.sql("INSERT INTO item SELECT g, 'x' FROM generate_series(1, 1500) AS g")
            relay.sql(
                "INSERT INTO syncline.task (kind, entity, reason, progress) SELECT 'backfill', id, 'asked for',"
                ' \'{"done": 250, "total": 1000, "marked": 240}\' FROM syncline.entity'
            )
            relay.sql(
                "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report)"
                " SELECT id, now(), 77, 'equal', '{}' FROM syncline.entity"
            )
            shown = {
                "#workers": "cedar", "#lanes-summary": "10 of 64 lanes are owned", ".plot.queue .value": "1,500",
                "#alert-list": "QueueSizeHigh", "#parked-rows": "too large", "#entities": "77 records",
                "#tasks": "250 of about 1,000, 25 % · 240 marked", "#verified": "0 of 1 proved equal",
                "#banner": "Degraded: nothing is lost", "#alert-list a": "what to do",
            }  # fmt: skip
            for part, text in shown.items():
                await shows(tab, part, text)
            await tab.until("['degraded', 'unhealthy'].includes(document.getElementById('health').innerText)")
            assert await tab.run("document.getElementById('banner').getClientRects().length") == 1
            await shows(tab, "#entities .pill", "1 parked since")
            assert "healthy" not in await tab.run("document.querySelector('#entities .pill').className"), (
                "one is parked"
            )
            relay.sql("TRUNCATE syncline.outbox, syncline.block")
            relay.sql("DELETE FROM syncline.parked")
            relay.sql("UPDATE syncline.lane SET owner = NULL WHERE lane > 4")
            relay.sql("UPDATE syncline.certificate SET records = 78")
            relay.sql("UPDATE syncline.task SET progress = progress || '{\"done\": 500}'")
            changed = {
                "#health.healthy": "healthy",
                "#workers": "5 (0\N{EN DASH}4)",
                "#entities": "78 records",
                "#verified": "all proved equal",
                "#tasks": "500 of",
            }
            for part, text in changed.items():
                await shows(tab, part, text)
            await tab.until("document.getElementById('banner').hidden")
            await shows(tab, "#entities .pill.healthy", "equal")
            assert await tab.run("document.querySelectorAll('.plot .line').length") >= 3
            assert await tab.run("window.mark") == 1, "it was never loaded again"
            assert tab.errors == []


async def test_script_in_data_is_text(relay: Relay, tmp_path: Path):
    relay.sql("CREATE TABLE evil (id text PRIMARY KEY)")
    relay.sql(
        "INSERT INTO syncline.entity (id, name, source_table, collection, key_columns, key_types, capture, definition)"
        " VALUES (99, %s, %s, %s, '{id}', '{text}', 'triggers', '{}')",
        EVIL, EVIL, EVIL,
    )  # fmt: skip
    park(relay, EVIL, error=EVIL, payload=json.dumps({EVIL: EVIL}), entity=EVIL)
    park(relay, f"{EVIL}2", error=EVIL)
    working(relay, EVIL)
    relay.sql(
        "UPDATE syncline.worker SET version = %s, report = jsonb_build_object('target_error', %s::text)", EVIL, EVIL
    )
    relay.sql("INSERT INTO syncline.notice (name, severity, message) VALUES (%s, 'critical', %s)", EVIL, EVIL)
    relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('sweep', 99, %s)", EVIL)
    relay.sql(
        "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report) VALUES (99, now(), 1, %s, '{}')",
        EVIL,
    )
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            for part in ("#alert-list", "#parked-rows", "#workers", "#tasks", "#entities", "#notices"):
                await shows(tab, part, EVIL)
            await tab.click("#parked-rows .link")
            await shows(tab, "#record-parts pre", "onerror")
            await shows(tab, "#record-title", EVIL)
            await tab.press("Escape")
            await tab.click("#parked-rows .danger")
            await shows(tab, "#sure-title", EVIL)
            assert await tab.run("window.pwned") is None
            assert await tab.run("document.querySelectorAll('script').length") == 1
            assert await tab.run("document.querySelectorAll('img').length") == 1
            assert tab.errors == []


async def test_parked_records_are_handled_by_keyboard_and_the_focus_is_kept(relay: Relay, tmp_path: Path):
    for key in ("1", "2", "3", "4"):
        park(relay, key)
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            await shows(tab, "#parked-summary", "4 records")
            await tab.run("document.querySelector('[aria-label=\"Retry item 1\"]').focus()")
            await tab.press("Enter")
            await says(tab, "item 1: a worker tries again")
            assert relay.sql("SELECT key FROM syncline.waiting") == [("1",)]
            focused = "document.activeElement.getAttribute('aria-label')"
            assert await tab.run(focused) == "Retry item 1", "a new state took nothing from under the finger"
            await tab.press("Enter")
            await tab.until("heard.filter(said => said.includes('item 1: a worker tries again')).length === 2")

            await tab.press("Tab")
            assert await tab.run(focused) == "Discard item 1"
            await tab.press("Enter")
            await tab.until("document.getElementById('sure').open")
            assert await tab.run("document.activeElement.innerText") == "Keep"
            await tab.press("Escape")
            await tab.until("!document.getElementById('sure').open")
            assert len(relay.parked()) == 4, "Escape means no"

            await tab.press("Enter")
            await tab.until("document.getElementById('sure').open")
            await tab.press("Tab")
            await tab.press("Enter")
            await says(tab, "item 1: discarded")
            await shows(tab, "#parked-summary", "3 records")
            assert await tab.run("document.activeElement.id") == "parked-title", "the focus is not lost with its row"

            await tab.run("document.querySelector('[aria-label=\"Choose item 2\"]').focus()")
            await tab.press(" ")
            await tab.run("document.querySelector('[aria-label=\"Choose item 4\"]').focus()")
            await tab.press(" ")
            await shows(tab, "#chosen", "2 chosen")
            await tab.click("#discard-chosen")
            await shows(tab, "#sure-title", "Discard 2 records?")
            await tab.click("#sure .danger")
            await shows(tab, "#parked-summary", "1 record")
            assert set(relay.parked()) == {"3"}
            await shows(tab, "#notices", "asked to discard 2 parked records of item: 2, 4")
            assert tab.errors == []


async def test_a_question_that_follows_at_once_gets_its_own_answer(relay: Relay, tmp_path: Path):
    """The browser tells late that a dialog was closed: the next one may be open by then."""
    park(relay, "1")
    park(relay, "2")
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            await shows(tab, "#parked-summary", "2 records")
            button = "document.querySelector('[aria-label=\"Discard item {}\"]').click()"
            await tab.run(f"{button.format(1)}; document.getElementById('sure').close('no'); {button.format(2)}")
            await tab.click("#sure .danger")
            await shows(tab, "#parked-summary", "1 record")
            assert set(relay.parked()) == {"1"}


async def test_it_can_be_read_by_everybody_and_on_a_telephone(relay: Relay, tmp_path: Path):
    park(relay, "1", error="a long error " * 40)
    park(relay, "an-endless-key-" * 30)
    working(relay)
    relay.sql("INSERT INTO item SELECT g, 'x' FROM generate_series(1, 1100) AS g")
    relay.sql(
        "INSERT INTO syncline.notice (name, severity, message) VALUES ('TargetRestored', 'critical', %s)", "x" * 300
    )
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            await shows(tab, "#workers", "cedar")
            await shows(tab, "#alert-list", "TargetRestored")
            assert await tab.run("['header', 'main', 'h1'].map(t => document.querySelectorAll(t).length)") == [1, 1, 1]
            assert await tab.run("document.getElementById('announce').getAttribute('aria-live')") == "polite"
            await look_at(tab, 320, 390, 800)
            await tab.run("document.activeElement.blur()")
            await tab.press("Tab")
            assert await tab.run("document.activeElement.innerText") == "Skip to the content"
            await tab.run("document.querySelector('.plot.queue .area').focus()")
            await tab.press("End")
            await shows(tab, ".plot.queue .readout", "1,100 changes")
            for plot, unit in {"lag": r"\d (ms|s|min)$", "rate": r"\d records.s$"}.items():
                newest = f"document.querySelector('.plot.{plot} .area').dispatchEvent(new KeyboardEvent('keydown', {{key: 'End'}}))"
                await tab.until(f"({newest}, /{unit}/.test(document.querySelector('.plot.{plot} .readout').innerText))")
            for (zero, low), (half, middle), (top, high) in await tab.run(TICKS):
                assert low - middle == middle - high > 0
                assert (number(zero), number(top)) == (0, 2 * number(half)), "what stands at a line is its value"
            label = "document.querySelector('.plot.queue svg').getAttribute('aria-label')"
            await tab.until(f"{label}.startsWith('Queue over the last hour: now 1,100, highest 1,100 at ')")
            await tab.run("document.querySelector('.plot.queue details').open = true")
            await shows(tab, ".plot.queue details tbody", "1,100")
            assert tab.errors == []


async def test_a_database_and_the_server_itself_may_go_and_come_back(
    private_postgres: PrivatePostgres, mongo_url: str, mongo_db: str, tmp_path: Path
):
    async with relayed(private_postgres.url, (mongo_url, mongo_db), grace=timedelta(seconds=60)) as relay:
        with serving(tmp_path, relay.toml()) as served:
            async with visited(served) as tab:
                await shows(tab, "#databases", "version")
                private_postgres.kill()
                await shows(tab, "#health", "unhealthy")
                await shows(tab, "#databases", "disconnected")
                assert await tab.run("[...document.querySelectorAll('.database .pill')].map(e => e.innerText)") == [
                    "disconnected",
                    "connected",
                ]
                await says(tab, "PostgreSQL is disconnected")
                await shows(tab, "#entities-empty", "Not known at present")
                private_postgres.start()
                await shows(tab, "#health.healthy", "healthy")
                await shows(tab, "#entities", "item")
                assert await tab.run("document.querySelectorAll('.plot .down-source').length") > 0
                served.process.kill()
                served.process.wait()
                await shows(tab, "#feed", "no connection")
                with serving(tmp_path, relay.toml(), port=served.port):
                    await tab.until("document.getElementById('feed').classList.contains('live')")
                    await shows(tab, "#since", "watched since this page's server started")
                    assert await tab.run("location.pathname") == "/", "the session outlives the server"
                with serving(tmp_path, relay.toml(), port=served.port, token="another-horse-battery-staple"):
                    await tab.until("location.pathname === '/login'")


async def test_where_events_do_not_come_through_it_polls(relay: Relay, tmp_path: Path):
    with serving(tmp_path, relay.toml()) as served:
        async with chromium.browser() as tab:
            await tab.call("Network.enable")
            await tab.call("Network.setBlockedURLs", urls=["*/events"])
            await tab.open(served.way_in)
            await shows(tab, "#feed", "looking every 5 s")
            park(relay, "1")
            await shows(tab, "#parked-rows", "too large")


async def test_a_wrong_credential_is_told_and_log_out_leads_back(relay: Relay, tmp_path: Path):
    with serving(tmp_path, relay.toml()) as served:
        async with chromium.browser() as tab:
            await tab.look()
            await tab.open(served.url)
            await tab.until("location.pathname === '/login'")
            await tab.until("document.activeElement.id === 'credential'")
            await tab.type("wrong-wrong-wrong-wrong")
            await tab.press("Enter")
            await shows(tab, "#problem", "This is not the admin credential.")
            assert await tab.run(CONTRASTS) == []
            await tab.open(served.way_in)
            await tab.until("document.body.dataset.seen")
            assert await tab.run("document.cookie") == "", "script cannot read the session"
            assert "correct-horse" not in await tab.run("location.href + document.documentElement.outerHTML")
            await tab.click("#logout")
            await tab.until("location.pathname === '/login'")
            await tab.open(served.url)
            await tab.until("location.pathname === '/login'")


async def test_a_record_is_found_and_what_was_applied_lately_is_listed(relay: Relay, tmp_path: Path):
    relay.history = HistorySettings()
    relay.sql("INSERT INTO item VALUES (7, 'seven')")
    async with relay.worker():
        await relay.equal()
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            await shows(tab, "#events", "item.created")
            assert relay.mongo[1] in await tab.run("document.querySelector('#databases').innerText")
            await shows(tab, ".plot.lag .note", "commit to visible: p50")
            await tab.run("document.getElementById('find-key').focus()")
            await tab.type("7")
            await tab.press("Enter")
            await shows(tab, "#record-title", "item 7")
            await shows(tab, "#record-parts", '"name": "seven"')
            await shows(tab, "#record-facts", "equal")
            await shows(tab, "#record-facts", "epoch ")
            await tab.press("Escape")
            await tab.until("!document.getElementById('record').open")
            with MongoClient(relay.mongo[0]) as client:
                client[relay.mongo[1]].item.update_one({"_id": 7}, {"$set": {"name": "eight"}})
            await tab.click("#find button")
            await shows(tab, "#record-facts", "1 field differs")
            await shows(tab, "#record-parts", 'target  "eight"')
            await tab.press("Escape")
            await tab.until("!document.getElementById('record').open")
            relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('sweep', 1, 'asked by hand')")
            await tab.click("#find button")
            await shows(tab, "#record-facts", "sweep (asked by hand)")
            await tab.press("Escape")
            await tab.until("!document.getElementById('record').open")
            await tab.run("document.getElementById('find-key').value = 'x'")
            await tab.click("#find button")
            await shows(tab, "#record-parts .problem", "is not a key")
            await tab.press("Escape")
            await tab.click("#range [data-seconds='900']")
            assert await tab.run("document.querySelector('#range [aria-pressed=true]').innerText") == "15 min"
            assert [error for error in tab.errors if "422" not in error] == []


async def test_an_entity_is_verified_repaired_and_backfilled_from_the_page(relay: Relay, tmp_path: Path):
    relay.sql("INSERT INTO item VALUES (7, 'seven')")
    relay.sql("TRUNCATE syncline.outbox, syncline.block")
    working(relay)
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            button = "[aria-label='{} item']"
            await shows(tab, "#entities", "item")
            await tab.click(button.format("verify"))
            await shows(tab, "#jobs", "Not equal: 1 record diverges")
            await tab.click(button.format("repair"))
            await shows(tab, "#sure-title", "Repair item?")
            await tab.press("Escape")
            assert await tab.run("document.querySelectorAll('#jobs li').length") == 1, "Escape means no"
            await tab.click(button.format("repair"))
            await tab.click("#sure-yes")
            await shows(tab, "#jobs", "1 records marked")
            assert relay.sql("SELECT key, hint::text FROM syncline.waiting") == [("7", "R")]
            await tab.click(button.format("backfill"))
            await tab.click("#sure-yes")
            await shows(tab, "#jobs", "a worker marks every record")
            assert relay.sql("SELECT kind FROM syncline.task ORDER BY id") == [("backfill",), ("sweep",)]
            relay.sql("INSERT INTO syncline.notice (name, severity, message) VALUES ('Odd', 'warning', 'x')")
            await shows(tab, "#notices", "Odd")
            await tab.click("#notices button:not([hidden])")
            await says(tab, "Odd: resolved")
            assert relay.sql("SELECT resolved_at IS NOT NULL FROM syncline.notice WHERE name = 'Odd'") == [(True,)]
            assert tab.errors == []


async def test_an_alert_leads_to_its_place_in_the_runbook(relay: Relay, tmp_path: Path):
    relay.sql("INSERT INTO item SELECT g, 'x' FROM generate_series(1, 1100) AS g")
    with serving(tmp_path, relay.toml()) as served:
        async with visited(served) as tab:
            await shows(tab, "#alert-list", "QueueSizeHigh")
            await tab.click("#alert-list a")
            await tab.until("location.pathname === '/runbook' && document.querySelector(':target') !== null")
            assert await tab.run("document.querySelector(':target').innerText") == "QueueSizeHigh"
            await tab.open(f"{served.url}runbook?for=SomethingElse")
            await tab.until("location.hash === '#opennotice'")
            assert await tab.run(CONTRASTS) == []
            assert tab.errors == []


async def test_the_list_of_links_can_be_read_by_everybody_and_on_a_telephone(tmp_path: Path):
    toml = '[source]\nurl = "postgresql://127.0.0.1:1/none"\n'
    for name in ("near", "far_away_in_another_town"):
        toml += f'[links.{name}.target]\nurl = "mongodb://127.0.0.1:1/{name}"\n'
    with serving(tmp_path, toml) as served:
        async with chromium.browser() as tab:
            await tab.open(served.url)
            await look_at(tab)
            assert await tab.run("getComputedStyle(document.querySelector('.top')).display") == "flex", (
                "it has the style of a page"
            )
            await tab.click(".links a")
            await tab.until("location.pathname === '/near/login'")
            assert tab.errors == []
