"""The functions that capture an entity's changes: their bodies, composed and not yet executed.

Nothing here ties a user's column down: no key function has a user's type as its argument, which would hold that type.
What a function reads may be gone when it runs: then it lets the write go on and says that there is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from psycopg import sql

from syncline.capture.postgres.composing import (
    are_short,
    compared_in_order,
    dollar_quoted,
    key_expression,
    lane,
    of_row,
    ours,
    part,
    same_key,
    same_texts,
    set_clauses,
    still_typed,
    template,
    types,
)
from syncline.model.entity import Column, TableName
from syncline.model.key_types import key_type
from syncline.model.link import Link, current
from syncline.model.types import PINNED_SETTINGS

_SEARCH_PATH = {"search_path": "pg_catalog, pg_temp"}
_SETTINGS_OF: Mapping[str, tuple[str, ...]] = {
    "date": ("datestyle",),
    "timestamp": ("datestyle",),
    "timestamptz": ("datestyle", "timezone"),
    "bytea": ("bytea_output",),
}
_ENUM = "enum"
_ANY = ("anyelement", "anycompatible")
"""Argument types that stand for one type each."""
FEW, BLOCK, SLICE = 256, 500, 500_000
"""From so many rows on a statement marks in blocks; at most about so many keys a block; rows of one turn."""
_ID, _STEM = "\0id", "\0stem"
"""Stand for the entity in a body that is composed for many; PostgreSQL's names and texts have no such character."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Changes of this table's rows mark keys of that entity: its own rows, or those of an embedded child."""

    entity: int
    table: TableName
    columns: tuple[Column, ...]
    """The table's columns that make the key text, in its order."""
    embed: int = 0
    """Which embed of the entity the table is, from 1; 0: the entity's own table."""

    @property
    def stem(self) -> str:
        """What the names of its functions and triggers begin with."""
        return f"{self.entity}_embed_{self.embed}" if self.embed else str(self.entity)


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it must be."""

    entity: int
    name: str
    arguments: tuple[str, ...]
    body: str
    settings: Mapping[str, str]
    volatility: str
    definer: bool
    """It is a trigger's; else it gives the key."""

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Name and argument types."""
        return self.name, self.arguments

    @property
    def create(self) -> tuple[sql.Composed, ...]:
        """Compose what makes it."""
        name, arguments = ours(self.name), types(self.arguments)
        set_, body = set_clauses(self.settings), dollar_quoted(self.body)
        if self.definer:
            made = template("trigger_function").format(function=name, settings=set_, body=body)
            revoke = template("revoke_function").format(function=name, arguments=arguments)
            said = f"Syncline: puts changes into {current().schema}.outbox, for entity {self.entity}."
            return made, revoke, self._comment(said)
        volatility = sql.SQL("IMMUTABLE" if self.volatility == "IMMUTABLE" else "STABLE")
        made = template("key_function").format(
            function=name, arguments=arguments, volatility=volatility, settings=set_, body=body
        )
        return made, self._comment(f"Syncline: the key of entity {self.entity} as text.")

    def _comment(self, said: str) -> sql.Composed:
        return template("function_comment").format(
            function=ours(self.name), arguments=types(self.arguments), comment=sql.Literal(said)
        )


def key_function(entity: int, columns: Sequence[Column]) -> Function:
    """``syncline.key_<id>(column, …)``: the entity's key text, for everybody outside of the triggers.

    Without settings it is inlined into the query that calls it. Where the text follows a setting it is pinned instead.
    """
    name = f"key_{entity}"
    settings = pinned(columns)
    arguments = _arguments(columns)
    plain = len(columns) == 1 and columns[0].base != _ENUM
    volatility = "IMMUTABLE" if plain or settings else "STABLE"
    texts = ", ".join(f"${place}::pg_catalog.text" for place in range(1, len(columns) + 1))
    body = f"SELECT {texts}" if len(columns) == 1 else f"SELECT pg_catalog.jsonb_build_array({texts})::pg_catalog.text"
    return Function(entity, name, arguments, body, settings, volatility, definer=False)


def _arguments(columns: Sequence[Column]) -> tuple[str, ...]:
    """Name the key function's argument types; one that names a user's type would forbid its DROP TYPE."""
    users = list(dict.fromkeys(key_type(column).sql for column in columns if column.base == _ENUM))
    standing = {"int2": "int8", "int4": "int8"} | dict(zip(users, _ANY, strict=False))  # integers may grow
    return tuple(standing.get(name, name) for name in (key_type(column).sql for column in columns))


def pinned(columns: Iterable[Column]) -> dict[str, str]:
    """Collect the settings that the text of these columns follows."""
    return {name: PINNED_SETTINGS[name] for column in columns for name in _SETTINGS_OF.get(column.base, ())}


def trigger_functions(watch: Watch, *, by_row: bool) -> tuple[Function, ...]:
    """Compose the functions that one watch needs."""
    settings = _SEARCH_PATH | pinned(watch.columns)
    return tuple(
        Function(watch.entity, f"capture_{watch.stem}_{role}", (), body, settings, "VOLATILE", definer=True)
        for role, body in _bodies(watch, by_row=by_row)
    )


def _bodies(watch: Watch, *, by_row: bool) -> Iterator[tuple[str, str]]:
    """Write the bodies by role; what is the same for all tables with such keys is composed once."""
    for role, body in _bodies_of(watch.columns, own=not watch.embed, by_row=by_row, link=current()):
        yield role, body.replace(_ID, str(watch.entity)).replace(_STEM, watch.stem)


@lru_cache(256)
def _bodies_of(columns: tuple[Column, ...], *, own: bool, by_row: bool, link: Link) -> tuple[tuple[str, str], ...]:  # noqa: ARG001  the texts are the link's
    """Compose the bodies by role, with signs for what is the entity's."""
    watch = Watch(0, TableName("", ""), columns, embed=not own)
    shared = {
        "id": sql.SQL(_ID),
        "hint": sql.SQL('left(TG_OP, 1)::"char"') if own else sql.SQL("'U'::\"char\""),
        "gone": sql.SQL("'D'::\"char\"") if own else sql.SQL("'U'::\"char\""),
        "passed": _passed(),
        **_carefully(watch),
        "lane_q": lane("q.k", _ID),
    }
    truncate = _body("truncate", shared | {"kind": sql.Literal("sweep" if own else "backfill")})
    if by_row:
        old = {"old_key": key_expression(watch.columns, "old"), "old_present": _present(watch, "old")}
        new = {"new_key": key_expression(watch.columns, "new"), "new_present": _present(watch, "new")}
        parts = shared | old | new | _marks(shared)
        ways = {name: part(name, **parts) for name in ("row_keys", "row_marks")}
        return _body("row", parts | ways), truncate
    compared, array = compared_in_order(watch.columns, _present(watch, "r"))
    rows = {
        "key": key_expression(watch.columns, "r"),
        "compared": compared,
        "array": array,
        "distinct": sql.SQL("" if own else "DISTINCT "),
        "present": _present(watch, "r"),
        "where": sql.SQL("") if own else sql.SQL(" WHERE {}").format(_present(watch, "r")),
    }
    updated = {"hint": sql.SQL("'U'::\"char\""), "sound": part("sound", typed=still_typed(watch.columns))}
    return (
        _statement_body(watch, "statement", shared | rows),
        _statement_body(watch, "update", shared | rows | updated),
        truncate,
    )


def drop_function(name: str, arguments: Sequence[str]) -> sql.Composed:
    """Compose its removal."""
    return template("function_drop").format(function=ours(name), arguments=types(arguments))


def own(name: str) -> sql.Composed:
    """Compose the change of a trigger function's owner to whoever runs it."""
    return template("function_own").format(function=ours(name))


def _statement_body(watch: Watch, role: str, parts: Mapping[str, sql.Composable]) -> tuple[str, str]:
    """Put together which keys a statement's rows have (by its kind) and what is done with them (the same for all)."""
    values = part("values", **parts)
    ways = {
        **_marks(parts),
        "single": part(f"single_{role}", **parts),
        "many": part(f"many_{role}", values=values, **_now_and_gone(role, watch, parts)),
        "many_carefully": part(f"many_{role}", values=values, **_singly(parts, same_texts(watch.columns))),
        # Of a child that gets or loses its parent only one of the two rows has a key.
        "nothing": sql.SQL("many := true" if watch.embed and role == "update" else "RETURN NULL"),
    }
    return _body(role, {**parts, **ways}, body_of="statement")


def _now_and_gone(role: str, watch: Watch, parts: Mapping[str, sql.Composable]) -> dict[str, sql.Composed]:
    """Compose the marks of the keys that many rows have, and of those that they had: of very many in blocks."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in watch.columns)
    sizes = {"few": sql.Literal(FEW), "most": sql.Literal(BLOCK), "slice": sql.Literal(SLICE), "columns": columns}
    same = same_key(watch.columns)

    def slice_of(rows: str, turn: str = "turns") -> sql.Composed:
        return part("slice", **sizes, rows=sql.SQL(rows), turn=sql.SQL(turn))

    def blocks(keys: str, of_rows: sql.Composable, rows: sql.Composable) -> sql.Composed:
        return part("blocks", **parts, **sizes, of_rows=of_rows, keys=part(keys, **parts, rows=rows, same=same))

    singly, hint = _singly(parts, same), sql.SQL("mark_hint")
    if role == "update" and are_short(watch.columns):
        slices = {"slice_now": slice_of("changed"), "slice_before": slice_of("before")}
        many = blocks("keys_of_array", hint, sql.SQL(""))
        blocks_now = part("blocks_of_updated", **parts, **sizes, **slices, blocks=many)
    else:
        was_last = part("was_last_of_parents" if watch.embed else "was_last", **sizes)
        blocks_now = part("blocks_now", blocks=blocks("keys", hint, slice_of("changed")), was_last=was_last)
    blocks_gone = part("blocks_gone", blocks=blocks("keys_gone", parts["gone"], slice_of("before", "turn")))
    return {
        "now": part("now", **sizes, blocks_now=blocks_now, marks=singly["now"]),
        "gone": part("gone", blocks_gone=blocks_gone, marks=singly["gone"]),
    }


def _singly(parts: Mapping[str, sql.Composable], same: sql.Composable) -> dict[str, sql.Composed]:
    """Compose the same marks one by one."""
    now = part("keys", **parts, rows=sql.SQL("changed"))
    gone = part("keys_gone", **parts, rows=sql.SQL("before"), same=same)
    return {
        "now": part("marks", **parts, keys=now, of_rows=sql.SQL("mark_hint")),
        "gone": part("marks", **parts, keys=gone, of_rows=parts["gone"]),
    }


def _carefully(watch: Watch) -> dict[str, sql.Composable]:
    """Compose what is done where something is not as it should be: a user's write goes on whatever it is."""
    kinds = ["backfill"] if watch.embed else ["backfill", "sweep"]  # of children the parents are marked
    parts = {
        "id": sql.SQL(_ID),
        "stem": sql.SQL(f"'{_STEM}'"),
        "kinds": sql.Literal("{" + ",".join(kinds) + "}"),
    }
    return {
        "sound": part("sound", typed=sql.SQL("")),
        "noted": part("noted", **parts),
        "gap": part("gap", **parts, notice=part("notice", **parts)),
        "wake_carefully": part("wake_carefully"),
    }


def _passed() -> sql.Composable:
    """Compose what passes over the writes of the link that goes back, where there is one."""
    reverse = current().reverse
    return sql.SQL("") if reverse is None else part("passed", tag=sql.Literal(reverse)) + sql.SQL("\n    ")


_PASSED = re.compile(r"IF current_setting\('syncline\.link', true\) = '(\w+)' THEN\s+RETURN NULL;\s+END IF;\s+")


def without_way_back(body: str) -> str:
    """Leave out of a body what passes over the writes of the link that goes back."""
    return _PASSED.sub("", body, count=1)


def way_back_of(body: str) -> str | None:
    """Read out of a body which link's writes it passes over."""
    found = _PASSED.search(body)
    return found[1] if found else None


def _marks(parts: Mapping[str, sql.Composable]) -> dict[str, sql.Composable]:
    """Compose the marks of the keys that the functions have in hand one by one."""
    hints = {"one": "hint", "gone": "gone", "after": "hint", "before": "gone"}
    return {
        f"mark_{key}": part("mark", **parts, lane=lane(key, _ID), of=sql.SQL(key), of_row=parts[hint])
        for key, hint in hints.items()
    }


def _body(role: str, parts: Mapping[str, sql.Composable], *, body_of: str | None = None) -> tuple[str, str]:
    return role, "\n" + template(body_of or role).format(**parts).as_string(None) + "\n"


def _present(watch: Watch, row: str) -> sql.Composable:
    """A child without a parent has no key to mark; the entity's own key is never null."""
    if not watch.embed:
        return sql.SQL("true")
    return sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(of_row(row, column)) for column in watch.columns)
