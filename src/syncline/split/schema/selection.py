"""From tables that move to everything that must be there with them, in the order in which it can be made. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from syncline.errors import SchemaMoveError
from syncline.split.catalogue import Catalogue
from syncline.split.schema.things import Key
from syncline.split.statements import parse_function

TABLES = ("r", "p", "f")


@dataclass(frozen=True, slots=True)
class Graph:
    """What depends on what in a database, as far as users have made it."""

    edges: Mapping[Key, frozenset[Key]]
    homes: Mapping[Key, Key]
    """What is made together with something else, and with what."""
    members: Mapping[Key, Key]
    """What belongs to an extension."""
    attached: Mapping[int, tuple[Key, ...]]
    """By table: its constraints, indexes, triggers, policies, statistics, rules and sequences."""

    def home(self, key: Key) -> Key:
        """Find what something is made with; a row type's array: its table."""
        while (further := self.homes.get(key)) is not None and further != key:
            key = further
        return key


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be made."""

    things: frozenset[Key]
    needs: Mapping[Key, frozenset[Key]]
    """Among these things: what must be there first."""
    staying: Mapping[Key, frozenset[int]]
    """Things that name tables which stay: they cannot be made over there."""


def graph(
    edges: Iterable[tuple[str, int, str, int, str]],
    homes: Iterable[tuple[str, int, str, int]],
    attached: Iterable[tuple[str, int, int]],
    catalogue: Catalogue,
) -> Graph:
    """Bring the rows of the catalog together."""
    homely = Graph({}, {(one, oid): (other, home) for one, oid, other, home in homes}, {}, {})
    found: dict[Key, set[Key]] = {}
    members: dict[Key, Key] = {}
    for one, oid, other, needed, how in edges:
        key, need = homely.home((one, oid)), homely.home((other, needed))
        if how == "e":
            members[key] = need
        elif key != need and not (how == "a" and catalogue.kinds.get(oid) == "S"):  # a serial's column comes after it
            found.setdefault(key, set()).add(need)
    with_tables: dict[int, list[Key]] = {}
    for one, oid, table in attached:
        with_tables.setdefault(table, []).append((one, oid))
    return Graph(
        {key: frozenset(needs) for key, needs in found.items()},
        homely.homes,
        members,
        {table: tuple(keys) for table, keys in with_tables.items()},
    )


def select(
    graph: Graph, catalogue: Catalogue, moving: frozenset[int], sequences: frozenset[int] = frozenset()
) -> Selection:
    """Follow what tables, and sequences that are no table's, need until nothing is added."""
    table_of = {key: table for table, keys in graph.attached.items() for key in keys}
    named = {key: frozenset(map(graph.home, needs)) for key, needs in _named(catalogue).items()}
    todo: list[Key] = [("pg_class", oid) for oid in moving | sequences]
    todo += [key for oid in moving for key in graph.attached.get(oid, ())]
    for view in views_of(catalogue, moving):
        todo += [("pg_class", view), *graph.attached.get(view, ())]
    todo += _about(catalogue, moving)
    chosen: set[Key] = set()
    staying: dict[Key, set[int]] = {}
    while todo:
        key = todo.pop()
        if key in chosen:
            continue
        chosen.add(key)
        for need in graph.edges.get(key, frozenset()) | named.get(key, frozenset()):
            extension = graph.members.get(need)
            table = table_of.get(need, need[1] if need[0] == "pg_class" else 0)
            if extension is None and catalogue.kinds.get(table) in TABLES and table not in moving:
                staying.setdefault(key, set()).add(table)
            else:
                todo.append(extension or need)
    chosen -= {key for key in staying if key not in {("pg_class", oid) for oid in moving}}
    needs = {
        key: frozenset(graph.members.get(one, one) for one in graph.edges.get(key, ())) & chosen - {key}
        for key in chosen
    }
    return Selection(frozenset(chosen), needs, {key: frozenset(tables) for key, tables in staying.items()})


def in_order(
    things: Iterable[Key], needs: Mapping[Key, frozenset[Key]], rank: Callable[[Key], tuple[int, str]]
) -> list[Key]:
    """Sort things so that each comes after what it needs, and otherwise by rank.

    Raises:
        SchemaMoveError: two need each other.

    """
    known = frozenset(things)
    sorter = TopologicalSorter({key: needs.get(key, frozenset()) & known for key in known})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = [rank(key)[1] for key in error.args[1]]
        raise SchemaMoveError(
            f"these need each other, so that none can be made first: {', '.join(dict.fromkeys(cycle))}",
            hint="let one of them do without the other until the tables have moved",
        ) from None
    heap: list[tuple[tuple[int, str], Key]] = []
    order: list[Key] = []
    while sorter.is_active():
        for key in sorter.get_ready():
            heapq.heappush(heap, (rank(key), key))
        _, key = heapq.heappop(heap)
        order.append(key)
        sorter.done(key)
    return order


def views_of(catalogue: Catalogue, moving: frozenset[int]) -> list[int]:
    """Find the views that read moving tables only, through other views, too."""
    reads = _reads(catalogue)
    found = [oid for oid, kind in catalogue.kinds.items() if kind in ("v", "m")]
    return [view for view in found if (tables := _tables(catalogue, reads, {view})) and tables <= moving]


def _about(catalogue: Catalogue, moving: frozenset[int]) -> list[Key]:
    """Find the functions whose texts name moving tables only."""
    reads = _reads(catalogue)
    named: dict[str, list[int]] = {}
    for oid, name in catalogue.names.items():
        named.setdefault(name.name, []).append(oid)
    found: list[Key] = []
    for function in catalogue.functions:
        if function.definition is not None:
            script = parse_function(function.definition)
            relations = {
                oid
                for name in script.tables
                for oid in named.get(name.name, ())
                if name.schema in (None, catalogue.names[oid].schema)
            }
            if (tables := _tables(catalogue, reads, relations)) and tables <= moving:
                found.append(("pg_proc", function.oid))
    return found


def _reads(catalogue: Catalogue) -> dict[int, set[int]]:
    read: dict[int, set[int]] = {}
    for use in catalogue.uses:
        if use.kind == "view":
            read.setdefault(use.table, set()).add(use.other)
    return read


def _tables(catalogue: Catalogue, reads: Mapping[int, set[int]], relations: set[int]) -> set[int]:
    """Give the tables among relations, and those that views among them read."""
    seen, todo = set(relations), list(relations)
    while todo:
        further = reads.get(todo.pop(), set()) - seen
        seen |= further
        todo += further
    return {one for one in seen if catalogue.kinds.get(one) in TABLES}


def _named(catalogue: Catalogue) -> dict[Key, frozenset[Key]]:
    """Find what texts of functions call, or draw from, by name: the catalog does not tell of it."""
    named: dict[str, list[tuple[str, int]]] = {}
    for function in catalogue.functions:
        named.setdefault(function.name, []).append((function.schema, function.oid))
    found = {}
    for function in catalogue.functions:
        if function.definition is not None:
            script = parse_function(function.definition)
            called = {
                ("pg_proc", oid)
                for name in script.functions
                for schema, oid in named.get(name.name, ())
                if name.schema in (None, schema)
            }
            drawn = {
                ("pg_class", oid)
                for name in script.sequences
                for oid in catalogue.sequences_named(name, function.schema)
            }
            found["pg_proc", function.oid] = frozenset((called | drawn) - {("pg_proc", function.oid)})
    return found
