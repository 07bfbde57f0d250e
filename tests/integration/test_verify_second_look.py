"""Each step of the second look is needed: with it there is no false alarm, without it there is one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.verify import second_look
from syncline.verify.one_pass import Pass
from syncline.verify.second_look import SecondLook
from tests.pairs import entity, kinds, paired

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, 50) n;
INSERT INTO items VALUES (700, 'x');
"""


@pytest.fixture
async def items(database, mongo_url, mongo_db, monkeypatch):
    """Both sides equal, a worker that seems to live, and the keys 3 and 700 under suspicion for no reason."""
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        pair.sql(
            "INSERT INTO syncline.worker (id, name, version, expires_at)"
            " VALUES (gen_random_uuid(), 'w', '1', now() + interval '1 h')"
        )
        source = Pass._source

        async def suspicious(self):
            await source(self)
            self._suspects.add(["3", "700"])

        monkeypatch.setattr(Pass, "_source", suspicious)
        yield pair


def script(monkeypatch, **acts):
    """Do something right after a step of the first second look: ``after_1`` to ``after_4``."""
    steps = []

    def recorded(name, numbers):
        original = getattr(SecondLook, name)

        async def wrapped(self, keys):
            result = await original(self, keys)
            place = steps.count(name)
            steps.append(name)
            if place < 2 and (act := acts.get(f"after_{numbers[place]}")) is not None:
                await act()
            return result

        monkeypatch.setattr(SecondLook, name, wrapped)

    recorded("_view", (1, 3))
    recorded("_stored", (2, 4))


def writes(pair, *statements, drain=True):
    async def act():
        pair.sql(*statements)
        if drain:
            await pair.drain()

    return act


CHANGE, BACK = "UPDATE items SET v = 'new' WHERE id = 3", "UPDATE items SET v = 'v3' WHERE id = 3"


def there(pair):
    return {"after_1": writes(pair, CHANGE)}


def there_but_not_applied_yet_when_looked_at(pair):
    return {"after_1": writes(pair, CHANGE), "after_2": writes(pair, BACK, drain=False)}


def there_and_back(pair):
    return {"after_1": writes(pair, CHANGE), "after_2": writes(pair, BACK)}


def there_and_back_and_there(pair):
    return {"after_1": writes(pair, CHANGE), "after_2": writes(pair, BACK), "after_3": writes(pair, CHANGE)}


def deleted_and_inserted_again(pair):
    gone, again = "DELETE FROM items WHERE id = 700", "INSERT INTO items VALUES (700, 'x')"
    return {"after_1": writes(pair, gone), "after_2": writes(pair, again)}


SCRIPTS = [
    there,
    there_but_not_applied_yet_when_looked_at,
    there_and_back,
    there_and_back_and_there,
    deleted_and_inserted_again,
]


@pytest.mark.parametrize("what", SCRIPTS)
async def test_changes_between_the_steps_raise_no_alarm(items, monkeypatch, what):
    script(monkeypatch, **what(items))
    report = await items.verify(patience=timedelta(seconds=2))
    assert kinds(report) == {}
    await items.drain()
    monkeypatch.undo()
    assert (await items.verify()).exit_status == 0


# -- the same with a step taken out: the alarm is false, and this shows that the tests above would notice


def without_marks_at_first(monkeypatch):
    """Step 1 does not ask for marks."""
    view = SecondLook._view
    calls = []

    async def blind(self, keys):
        found = await view(self, keys)
        calls.append(keys)
        return found if len(calls) % 2 == 0 else second_look.SourceView(found.rows, found.several, {})

    monkeypatch.setattr(SecondLook, "_view", blind)


def without_the_row_again(monkeypatch):
    """Step 3 does not compare the row."""
    monkeypatch.setattr(second_look, "_same_rows", lambda *_: True)


def without_marks_again(monkeypatch):
    """Step 3 does not ask for marks."""
    view = SecondLook._view
    calls = []

    async def blind(self, keys):
        found = await view(self, keys)
        calls.append(keys)
        return found if len(calls) % 2 else second_look.SourceView(found.rows, found.several, {})

    monkeypatch.setattr(SecondLook, "_view", blind)


def without_the_document_again(monkeypatch):
    """Step 4 does not compare the document."""
    monkeypatch.setattr(second_look, "_same_bytes", lambda *_: True)


def without_the_ticket(monkeypatch):
    """Step 4 compares the document's contents, but not its ticket."""

    def contents(first, second):
        ours = ("_v", "_syncedAt")
        plain = [{k: v for k, v in one.document.items() if k not in ours} for one in (first, second) if one]
        return len(plain) != 1 and (not plain or plain[0] == plain[1])

    monkeypatch.setattr(second_look, "_same_bytes", contents)


@pytest.mark.parametrize(
    ("mutant", "what"),
    [
        (without_the_row_again, there),
        (without_marks_again, there_but_not_applied_yet_when_looked_at),
        (without_the_document_again, there_and_back),
        (without_the_document_again, deleted_and_inserted_again),
        (without_the_ticket, there_and_back_and_there),
    ],
)
async def test_without_a_step_there_is_a_false_alarm(items, monkeypatch, mutant, what):
    script(monkeypatch, **what(items))
    mutant(monkeypatch)
    assert kinds(await items.verify(patience=timedelta(seconds=2))) != {}


async def test_without_asking_for_marks_lag_is_called_damage(items, monkeypatch):
    without_marks_at_first(monkeypatch)
    without_marks_again(monkeypatch)
    items.sql(CHANGE)
    assert kinds(await items.verify(patience=timedelta(seconds=2))) == {"3": "different"}


async def test_a_document_inserted_between_the_walk_and_the_second_look_is_no_orphan(items, monkeypatch):
    """The walk met a document of a record that was deleted; before the second look it is inserted again."""
    items.sql(
        "ALTER TABLE items DISABLE TRIGGER USER",
        "DELETE FROM items WHERE id = 5",
        "ALTER TABLE items ENABLE TRIGGER USER",
    )
    script(monkeypatch, after_1=writes(items, "INSERT INTO items VALUES (5, 'again')"))
    report = await items.verify(patience=timedelta(seconds=2))
    assert kinds(report) == {}
