"""The application: several connections that write all the time, in every way that there is."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from tests.chaos import archive
from tests.chaos.acting import Acting
from tests.chaos.journal import Journal
from tests.chaos.schema import KEYS, TEAM, order_id

WINDOW = 60
"""Keys that are written at a moment."""
DRIFT_SECONDS = 0.25
"""How long until the window moves on by one key."""

Session = psycopg.Connection[Any]


class RolledBackError(Exception):
    """Ends a transaction that shall leave nothing behind."""


class Writer(Acting):
    """One connection. Keys come and go by the hand of one writer only; everybody changes what is there."""

    def __init__(
        self,
        url: str,
        journal: Journal,
        *,
        number: int,
        of: int,
        seed: int,
        pause: float = 0.02,
        rows: int,
        first: int = 0,
    ) -> None:
        super().__init__(f"writer {number}{f' from {first}' if first else ''}")
        self._url = url
        self._journal = journal
        self._number = number
        self._of = of
        self._rows = rows
        self._first = first
        """Its side's keys begin here; those of the archive are the first side's."""
        self._pause = pause
        self._random = random.Random(f"{seed} {self.name}")
        self._touched: list[tuple[str, str, str, bool]] = []
        self.commits = 0

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as session:
                    self._write(session)
            except psycopg.Error:
                time.sleep(0.05)

    def _write(self, session: Session) -> None:
        while self._goes_on():
            operation = self._random.choices(*zip(*_OPERATIONS, strict=True))[0]
            self._touched = []
            try:
                with session.transaction():
                    operation(self, session)
                    for _ in range(self._random.choice((0, 0, 0, 1, 3))):
                        self._random.choices(*zip(*_OPERATIONS, strict=True))[0](self, session)
                    if self._random.random() < 0.1:
                        raise RolledBackError
                    self._log("committing")
                self._log("committed")
                self.commits += 1
            except RolledBackError:
                pass
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if session.closed or session.broken:
                    raise
            except psycopg.Error:
                pass  # a key that is there already, a deadlock: rolled back
            time.sleep(self._random.uniform(0, 2 * self._pause))

    def _log(self, stage: str) -> None:
        for collection, key, what, removes in self._touched:
            self._journal.wrote((collection, key), f"{stage} {self.name}: {what}", removes=removes)

    def _note(self, collection: str, key: str, what: str, *, removes: bool = False) -> None:
        if not removes and (collection, key) in self._journal.retired:
            raise RolledBackError
        self._touched.append((collection, key, what, removes))

    # -- keys

    def _any(self) -> int:
        base = int(self._journal.now() / DRIFT_SECONDS)
        return self._first + (base + self._random.randrange(WINDOW)) % KEYS

    def _own(self) -> int:
        key = self._any()
        return key - key % self._of + self._number

    def _owned(self) -> list[int]:
        """Give the keys of the window that only this writer puts and takes away."""
        first = self._own()
        return list(range(first, first + WINDOW // 2, self._of))

    # -- accounts

    def account_put(self, session: Session) -> None:
        key = self._own()
        self._note("account", str(key), "put")
        session.execute(
            "INSERT INTO account (id, email, balance, note) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (id) DO UPDATE SET balance = excluded.balance, note = excluded.note",
            (key, f"{uuid.UUID(int=self._random.getrandbits(128))}@example.org", self._amount(), self._text()),
        )

    def account_update(self, session: Session) -> None:
        key = self._any()
        self._note("account", str(key), "update")
        session.execute("UPDATE account SET balance = balance + 0.0001, note = %s WHERE id = %s", (self._text(), key))

    def account_delete(self, session: Session) -> None:
        key = self._own()
        self._note("account", str(key), "delete", removes=True)
        session.execute("DELETE FROM account WHERE id = %s", (key,))

    def account_replace(self, session: Session) -> None:
        self.account_delete(session)
        self.account_put(session)

    def account_hide(self, session: Session) -> None:
        key = self._any()
        self._note("account", str(key), "hide or show", removes=True)
        session.execute("UPDATE account SET hidden = NOT hidden WHERE id = %s", (key,))

    def account_bulk(self, session: Session) -> None:
        first = self._any()
        for key in range(first, first + 40):
            self._note("account", str(key), "bulk update")
        session.execute("UPDATE account SET balance = balance * 1.01 WHERE id BETWEEN %s AND %s", (first, first + 39))

    def account_bulk_put(self, session: Session) -> None:
        keys = self._owned()
        for key in keys:
            self._note("account", str(key), "bulk put")
        session.execute(
            "INSERT INTO account (id, email, balance) SELECT k, 'bulk ' || gen_random_uuid(), k FROM unnest(%s::bigint[]) AS k"
            " ON CONFLICT (id) DO NOTHING",
            (keys,),
        )

    def account_purge(self, session: Session) -> None:
        keys = self._owned()
        for key in keys:
            self._note("account", str(key), "purge", removes=True)
        session.execute("DELETE FROM account WHERE id = ANY(%s)", (keys,))

    def order_purge(self, session: Session) -> None:
        keys = [order_id(key) for key in self._owned()]
        for key in keys:
            self._note("orders", str(key), "purge", removes=True)
        session.execute("DELETE FROM orders WHERE id = ANY(%s)", (keys,))

    def account_rename(self, session: Session) -> None:
        old, new = self._own(), self._own()
        self._note("account", str(old), f"key becomes {new}", removes=True)
        self._note("account", str(new), f"key was {old}")
        session.execute("UPDATE account SET id = %s WHERE id = %s", (new, old))

    def account_move_email(self, session: Session) -> None:
        a, b = self._any(), self._any()
        self._note("account", str(a), f"gives its email to {b}")
        self._note("account", str(b), f"gets the email of {a}")
        found = session.execute("SELECT email FROM account WHERE id = %s FOR UPDATE", (a,)).fetchone()
        if found is not None and a != b:
            session.execute("UPDATE account SET email = 'was ' || gen_random_uuid() WHERE id = %s", (a,))
            session.execute("UPDATE account SET email = %s WHERE id = %s", (found[0], b))

    def account_swap_email(self, session: Session) -> None:
        a, b = self._any(), self._any()
        self._note("account", str(a), f"swaps emails with {b}")
        self._note("account", str(b), f"swaps emails with {a}")
        session.execute(
            "UPDATE account AS x SET email = y.email FROM account AS y"
            " WHERE x.id IN (%(a)s, %(b)s) AND y.id IN (%(a)s, %(b)s) AND x.id <> y.id",
            {"a": a, "b": b},
        )

    def account_savepoint(self, session: Session) -> None:
        self.account_update(session)
        touched = list(self._touched)
        try:
            with session.transaction():
                self.account_delete(session)
                self.account_rename(session)
                raise RolledBackError
        except RolledBackError:
            self._touched = touched

    # -- orders and their lines

    def order_put(self, session: Session) -> None:
        key = order_id(self._own())
        self._note("orders", str(key), "put with lines")
        session.execute(
            "INSERT INTO orders (id, customer) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET customer = excluded.customer",
            (key, self._text()),
        )
        for _ in range(self._random.randrange(5)):
            self._add_line(session, key)

    def _add_line(self, session: Session, key: uuid.UUID) -> None:
        session.execute(
            "INSERT INTO line (order_id, item, quantity) SELECT id, %s, %s FROM orders WHERE id = %s",
            (self._text(), self._random.randrange(100), key),
        )

    def order_update(self, session: Session) -> None:
        key = order_id(self._any())
        self._note("orders", str(key), "update")
        session.execute("UPDATE orders SET customer = %s WHERE id = %s", (self._text(), key))

    def order_delete(self, session: Session) -> None:
        key = order_id(self._own())
        self._note("orders", str(key), "delete", removes=True)
        session.execute("DELETE FROM orders WHERE id = %s", (key,))

    def order_rename(self, session: Session) -> None:
        old, new = order_id(self._own()), order_id(self._own())
        self._note("orders", str(old), f"key becomes {new}", removes=True)
        self._note("orders", str(new), f"key was {old}")
        session.execute("UPDATE orders SET id = %s WHERE id = %s", (new, old))

    def line_add(self, session: Session) -> None:
        key = order_id(self._any())
        self._note("orders", str(key), "add a line")
        self._add_line(session, key)

    def line_update(self, session: Session) -> None:
        key = order_id(self._any())
        self._note("orders", str(key), "update lines")
        session.execute("UPDATE line SET quantity = quantity + 1 WHERE order_id = %s", (key,))

    def line_delete(self, session: Session) -> None:
        key = order_id(self._any())
        self._note("orders", str(key), "delete a line")
        session.execute(
            "DELETE FROM line WHERE id = (SELECT id FROM line WHERE order_id = %s ORDER BY id LIMIT 1)", (key,)
        )

    def line_move(self, session: Session) -> None:
        a, b = order_id(self._any()), order_id(self._any())
        self._note("orders", str(a), f"lines move to {b}")
        self._note("orders", str(b), f"gets the lines of {a}")
        session.execute(
            "UPDATE line SET order_id = %(b)s WHERE order_id = %(a)s AND EXISTS (SELECT FROM orders WHERE id = %(b)s)",
            {"a": a, "b": b},
        )

    # -- memberships

    def _membership(self, number: int) -> tuple[int, str, str]:
        team, member = number // TEAM, f"m{number}"
        return team, member, json.dumps([str(team), member])

    def membership_put(self, session: Session) -> None:
        team, member, key = self._membership(self._own())
        self._note("membership", key, "put")
        session.execute(
            "INSERT INTO membership (team, member, role, data) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (team, member) DO UPDATE SET role = excluded.role, data = excluded.data",
            (team, member, self._text(), json.dumps({"$x": [self._random.randrange(1000), None, self._text()]})),
        )

    def membership_update(self, session: Session) -> None:
        team, member, key = self._membership(self._any())
        self._note("membership", key, "update")
        session.execute("UPDATE membership SET role = %s WHERE team = %s AND member = %s", (self._text(), team, member))

    def membership_delete(self, session: Session) -> None:
        team, member, key = self._membership(self._own())
        self._note("membership", key, "delete", removes=True)
        session.execute("DELETE FROM membership WHERE team = %s AND member = %s", (team, member))

    def membership_rename(self, session: Session) -> None:
        team, member, old = self._membership(self._own())
        team_2, member_2, new = self._membership(self._own())
        self._note("membership", old, f"key becomes {new}", removes=True)
        self._note("membership", new, f"key was {old}")
        session.execute(
            "UPDATE membership SET team = %s, member = %s WHERE team = %s AND member = %s",
            (team_2, member_2, team, member),
        )

    def archive_write(self, session: Session) -> None:
        if not self._first:
            archive.write(session, self._random, self._rows)

    def _text(self) -> str:
        return self._random.choice(("", "$set", "äöü", "\U0001f600", "x" * 200)) + str(self._random.randrange(10_000))

    def _amount(self) -> str:
        return f"{self._random.randrange(-(10**15), 10**15)}.{self._random.randrange(10_000):04}"


_OPERATIONS: list[tuple[Callable[[Writer, Session], None], float]] = [
    (Writer.account_put, 6),
    (Writer.account_update, 5),
    (Writer.account_delete, 2),
    (Writer.account_replace, 1),
    (Writer.account_hide, 1),
    (Writer.account_bulk, 0.5),
    (Writer.account_bulk_put, 0.5),
    (Writer.account_purge, 0.3),
    (Writer.order_purge, 0.2),
    (Writer.account_rename, 1),
    (Writer.account_move_email, 1),
    (Writer.account_swap_email, 1),
    (Writer.account_savepoint, 0.5),
    (Writer.order_put, 5),
    (Writer.order_update, 3),
    (Writer.order_delete, 2),
    (Writer.order_rename, 0.5),
    (Writer.line_add, 2),
    (Writer.line_update, 2),
    (Writer.line_delete, 1),
    (Writer.line_move, 1),
    (Writer.membership_put, 5),
    (Writer.membership_update, 4),
    (Writer.membership_delete, 2),
    (Writer.membership_rename, 1),
    (Writer.archive_write, 4),
]
