"""What a statement touches: the tables that it reads, writes, locks and defines. Parsed once, kept by its text.

Routing and the boundary guard stand on this module: ``parse(sql)``, ``Script`` and ``Statement``. Nothing here knows of
databases, and nothing raises: what cannot be parsed has an ``error``, what cannot be seen into stands in ``unseen``.

    >>> parse("WITH gone AS (DELETE FROM carriers RETURNING id) SELECT * FROM gone").written
    frozenset({Name(schema=None, name='carriers')})

Tables are named as the text names them: without a schema where it has none. Names given by ``WITH``, PostgreSQL's own
tables (``pg_…``, ``information_schema``) and tables that are created as temporary ones are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from syncline.split import bodies, grammar
from syncline.split.grammar import GrammarError, Tree
from syncline.split.names import Name
from syncline.split.placeholders import Placeholders, readings
from syncline.split.tree import Walk

__all__ = ["Name", "Placeholders", "Script", "Statement", "parse", "parse_function"]

KEPT = 4096
"""So many texts are remembered."""
LONG = 20_000
"""A text of more characters is parsed each time: it is a bulk of values, and hardly comes twice."""
_DEEP = 8
"""Bodies within bodies that are looked into."""
_NOTHING: frozenset[Name] = frozenset()


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement touches. A table that a ``DELETE`` or ``UPDATE`` changes is written, not read."""

    kind: str
    """``SELECT``, ``INSERT``, ``ALTER TABLE``, ``BEGIN``, …"""
    read: frozenset[Name] = _NOTHING
    """Those of ``FROM``, ``USING``, subqueries, ``COPY … TO``; the other table of a foreign key that is made."""
    written: frozenset[Name] = _NOTHING
    """By ``INSERT``, ``UPDATE``, ``DELETE``, ``MERGE``, ``COPY … FROM``, ``TRUNCATE``, ``REFRESH``; in ``WITH`` too."""
    locked: frozenset[Name] = _NOTHING
    """By ``FOR UPDATE``, ``NO KEY UPDATE``, ``SHARE``, ``KEY SHARE``, ``LOCK TABLE``."""
    defined: frozenset[Name] = _NOTHING
    """Created, altered, dropped, granted, vacuumed. Not: indexes and sequences by their own names."""
    sequences: frozenset[Name] = _NOTHING
    """Those that ``nextval``, ``currval`` and ``setval`` name by a literal."""
    functions: frozenset[Name] = _NOTHING
    """Functions and procedures called, built-in ones included unless written with ``pg_catalog``."""
    unseen: tuple[str, ...] = ()
    """What could not be looked into, for people: dynamic SQL, a ``DO`` in another language, ``EXECUTE plan``."""
    paths: frozenset[str | None] = frozenset()
    """Schemas in which names without one are looked for after it; ``None``: others that are not seen."""
    prepares: str | None = None
    """The name under which ``PREPARE`` keeps the statement whose tables these are."""
    executes: str | None = None
    """The prepared statement that ``EXECUTE`` runs: who knows the connection knows its tables."""

    @property
    def tables(self) -> frozenset[Name]:
        """All that it touches."""
        return self.read | self.written | self.locked | self.defined


@dataclass(frozen=True, slots=True)
class Script:
    """All statements of one text, and what they touch together."""

    statements: tuple[Statement, ...] = ()
    error: str | None = None
    """What PostgreSQL's grammar says of a text that it cannot parse; there are no statements then."""
    read: frozenset[Name] = _NOTHING
    written: frozenset[Name] = _NOTHING
    locked: frozenset[Name] = _NOTHING
    defined: frozenset[Name] = _NOTHING
    tables: frozenset[Name] = _NOTHING
    sequences: frozenset[Name] = _NOTHING
    functions: frozenset[Name] = _NOTHING
    paths: frozenset[str | None] = frozenset()
    unseen: tuple[str, ...] = ()


def parse(sql: str, placeholders: Placeholders = Placeholders.NONE) -> Script:
    """Look at a text of one or more statements. A text seen before costs a look into a dictionary."""
    return _kept(sql, placeholders) if len(sql) <= LONG else _parse(sql, placeholders)


def parse_function(definition: str) -> Script:
    """Look into a function or procedure, given as ``pg_get_functiondef`` gives it (PL/pgSQL or SQL)."""
    return _together(*_of_body(bodies.of_function(definition), _DEEP))


def _parse(sql: str, placeholders: Placeholders) -> Script:
    error = None
    for text in readings(sql, placeholders):
        try:
            trees = grammar.statements(text)
        except GrammarError as complaint:
            error = error or str(complaint)
            continue
        return _together([_statement(tree, _DEEP) for tree in trees], ())
    return Script(error=error)


_kept = lru_cache(KEPT)(_parse)


def _together(statements: Iterable[Statement], unseen: tuple[str, ...]) -> Script:
    found = tuple(statements)
    return Script(
        found,
        read=_NOTHING.union(*(one.read for one in found)),
        written=_NOTHING.union(*(one.written for one in found)),
        locked=_NOTHING.union(*(one.locked for one in found)),
        defined=_NOTHING.union(*(one.defined for one in found)),
        tables=_NOTHING.union(*(one.tables for one in found)),
        sequences=_NOTHING.union(*(one.sequences for one in found)),
        functions=_NOTHING.union(*(one.functions for one in found)),
        paths=frozenset[str | None]().union(*(one.paths for one in found)),
        unseen=(*unseen, *(why for one in found for why in one.unseen)),
    )


def _statement(tree: Tree, deep: int) -> Statement:
    (name,) = tree
    node, walk = tree[name], Walk()
    walk.of(tree)
    looked = [bodies.of_block(*body) for body in walk.bodies]
    if walk.texts:
        looked.append(bodies.Body(tuple(walk.texts)))
    inner = [_together(*_of_body(body, deep - 1)) for body in looked]
    executes = walk.executes
    return Statement(
        _kind(name, node),
        read=frozenset(walk.read).union(*(one.read for one in inner)),
        written=frozenset(walk.written).union(*(one.written for one in inner)),
        locked=frozenset(walk.locked).union(*(one.locked for one in inner)),
        defined=frozenset(walk.defined).union(*(one.defined for one in inner)),
        sequences=frozenset(walk.sequences).union(*(one.sequences for one in inner)),
        functions=frozenset(walk.functions).union(*(one.functions for one in inner)),
        paths=frozenset(walk.paths).union(*(one.paths for one in inner)),
        unseen=(
            *((f"EXECUTE {executes}: prepared elsewhere",) if executes else ()),
            *walk.unseen,
            *(why for one in inner for why in one.unseen),
        ),
        prepares=node.get("name") if name == "PrepareStmt" else None,
        executes=executes,
    )


def _of_body(body: bodies.Body, deep: int) -> tuple[list[Statement], tuple[str, ...]]:
    if deep <= 0:
        return [], ("bodies within bodies, deeper than is looked",)
    found: list[Statement] = []
    unseen = list(body.unseen)
    for sql in body.statements:
        try:
            found += [_statement(tree, deep) for tree in grammar.statements(sql)]
        except GrammarError as error:
            unseen.append(f"{sql}: {error}")
    return found, tuple(unseen)


def _kind(name: str, node: Tree) -> str:
    if name == "TransactionStmt":
        return str(node["kind"]).removeprefix("TRANS_STMT_").replace("_", " ")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Stmt")).upper()
    return {"CREATE": "CREATE TABLE", "INDEX": "CREATE INDEX", "VIEW": "CREATE VIEW", "RULE": "CREATE RULE"}.get(
        words, words
    )
