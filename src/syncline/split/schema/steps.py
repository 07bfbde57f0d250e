"""From definitions to steps: what is made, by which statements, and when. Pure."""

from __future__ import annotations

from syncline.split.schema.marks import belongings, index_marks
from syncline.split.schema.reading import SIMPLE, Source
from syncline.split.schema.selection import in_order
from syncline.split.schema.things import Key, Phase, Step

NOT_VALID_KEYS_OF_PARTITIONED = 18
"""The first release in which a partitioned table takes a foreign key NOT VALID."""
_RANKS = (
    "schema", "extension", "collation", "type", "domain", "sequence", "function", "procedure", "table", "primary key",
    "check", "unique constraint", "exclusion constraint", "index", "statistics", "view", "materialized view",
    "foreign key", "trigger", "rule", "policy",
)  # fmt: skip
_EARLY = frozenset(_RANKS[: _RANKS.index("check")])
"""What rows need: the fence and a range that is copied again find rows by their key."""
_CONSTRAINTS = {
    "p": "primary key",
    "u": "unique constraint",
    "x": "exclusion constraint",
    "f": "foreign key",
    "c": "check",
}
_SUFFIXES = (" NOT VALID", " INITIALLY DEFERRED", " DEFERRABLE")
_ENABLED = {"O": "ENABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}


class Maker:
    """Makes the steps of one source for one target."""

    def __init__(self, source: Source, *, roles: frozenset[str], major: int) -> None:
        """Take what was read, and what the target has: its roles, its release."""
        self._source = source
        self._roles = roles
        self._major = major
        self._made: dict[Key, tuple[str, list[str]]] = {}
        self._later: dict[Key, list[Step]] = {}
        self._checks: dict[int, list[str]] = {}

    def steps(self) -> tuple[Step, ...]:
        """Give all steps in the order in which they can be carried out.

        Raises:
            SchemaMoveError: things need each other in a circle.

        """
        self._make()
        things = [key for key in self._source.selection.things if key in self._made]
        order = in_order(things, self._source.selection.needs, self._rank)
        early = self._early(order)
        further = belongings(self._source, self._roles, self._major)
        found: list[Step] = []
        for key in order:
            kind, statements = self._made[key]
            phase = Phase.BEFORE if key in early else Phase.AFTER
            address, name = self._source.addresses[key]
            found.append(Step(phase, kind, name, address, (*statements, *further.get(key, ()))))
        for key in order:
            found += self._later.get(key, ())
        return tuple(sorted(found, key=lambda step: list(Phase).index(step.phase)))

    def unmade(self) -> list[Key]:
        """Name what is needed and not known how to make: the user makes it by hand."""
        self._make()
        return sorted(
            key
            for key in self._source.selection.things - self._made.keys()
            if key in self._source.addresses and self._source.graph.home(key) == key
        )

    def _rank(self, key: Key) -> tuple[int, str]:
        kind = self._made[key][0] if key in self._made else "policy"
        return _RANKS.index(kind), self._source.label(key)

    def _early(self, order: list[Key]) -> set[Key]:
        """Find what is made before the rows: what must be, and what that needs."""
        early = set()
        for key in reversed(order):
            if self._made[key][0] in _EARLY or key in early:
                early |= {key, *self._source.selection.needs.get(key, ())}
        return early

    def _make(self) -> None:
        if self._made:
            return
        rows = self._source.blocks
        for block in SIMPLE:
            for one, oid, kind, statements in rows[block]:
                self._made[one, oid] = (kind, list(statements))
        for row in rows["constraints"]:
            self._constraint(*row)
        for row in rows["indexes"]:
            self._index(*row)
        for row in rows["triggers"]:
            self._switched("pg_trigger", "trigger", *row)
        for row in rows["rules"]:
            self._switched("pg_rewrite", "rule", *row)
        for oid, _, _, statement, roles in rows["policies"]:
            if self._roles.issuperset(roles):
                self._made["pg_policy", oid] = ("policy", [statement])
        for oid, _, _, statements in rows["statistics"]:
            self._made["pg_statistic_ext", oid] = ("statistics", statements)
        for row in rows["views"]:
            self._view(*row)
        self._tables()
        self._made = {key: made for key, made in self._made.items() if key in self._source.selection.things}

    def _tables(self) -> None:
        owned: dict[int, list[str]] = {}
        for table, statement in self._source.blocks["owned"]:
            owned.setdefault(table, []).append(statement)
        for oid, table in self._source.tables.items():
            statements = list(table.statements(self._checks.get(oid, ()), owned.get(oid, ())))
            key = ("pg_class", oid)
            name = self._source.addresses[key][1]
            if table.row_security:
                self._after(
                    key,
                    Phase.AFTER,
                    "row security",
                    name,
                    "row security",
                    f"ALTER TABLE {table.quoted} ENABLE ROW LEVEL SECURITY",
                )
            if table.forced:
                statement = f"ALTER TABLE {table.quoted} FORCE ROW LEVEL SECURITY"
                undo = f"ALTER TABLE {table.quoted} NO FORCE ROW LEVEL SECURITY"
                self._after(key, Phase.OPENING, "row security", name, "row security forced", statement, undo)
            self._made[key] = ("table", statements)

    def _constraint(
        self,
        oid: int,
        table: int,
        sort: str,
        name: str,
        text: str,
        valid: bool,
        deferrable: bool,
        deferred: bool,
        on: str,
        kind: str,
        replica: bool | None,
        clustered: bool | None,
        index: str,
        parent: str | None,
        _: int,
    ) -> None:
        key, only = ("pg_constraint", oid), "ONLY " if kind == "p" and sort != "f" else ""
        if sort == "c" and valid:
            self._checks.setdefault(table, []).append(f"CONSTRAINT {name} {text}")
        elif key not in self._source.selection.things:
            return  # it points to a table that stays
        elif sort == "f":
            self._foreign_key(key, name, text, valid, deferrable, deferred, on, kind)
        else:
            statements = [f"ALTER TABLE {only}{on} ADD CONSTRAINT {name} {text}"]
            self._made[key] = (
                _CONSTRAINTS[sort],
                [*statements, *index_marks(on, name, index, replica, clustered, parent)],
            )

    def _foreign_key(
        self, key: Key, name: str, text: str, valid: bool, deferrable: bool, deferred: bool, on: str, kind: str
    ) -> None:
        """Make a key deferred until the opening: rows that are followed come in any order within a transaction."""
        if text.endswith(" NOT ENFORCED"):
            self._made[key] = ("foreign key", [f"ALTER TABLE {on} ADD CONSTRAINT {name} {text}"])
            return
        for suffix in _SUFFIXES:
            text = text.removesuffix(suffix)
        at_once = kind == "p" and self._major < NOT_VALID_KEYS_OF_PARTITIONED
        statement = f"ALTER TABLE {on} ADD CONSTRAINT {name} {text} DEFERRABLE INITIALLY DEFERRED"
        self._made[key] = ("foreign key", [statement + ("" if at_once else " NOT VALID")])
        _, label = self._source.addresses[key]
        if valid and not at_once:
            self._after(
                key, Phase.AFTER, "validation", label, "validated", f"ALTER TABLE {on} VALIDATE CONSTRAINT {name}"
            )
        if not deferred:
            how = "DEFERRABLE INITIALLY IMMEDIATE" if deferrable else "NOT DEFERRABLE"
            statement = f"ALTER TABLE {on} ALTER CONSTRAINT {name} {how}"
            undo = f"ALTER TABLE {on} ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED"
            self._after(key, Phase.OPENING, "foreign key's check", label, how.lower(), statement, undo)

    def _index(
        self,
        oid: int,
        _: int,
        name: str,
        text: str,
        __: bool,
        replica: bool,
        clustered: bool,
        on: str,
        short: str,
        parent: str | None,
        valid: bool,
        targets: list[str],
    ) -> None:
        if not valid and " ON ONLY " not in text:
            return  # it was never finished
        statements = [text, *index_marks(on, short, name, replica, clustered, parent)]
        self._made["pg_class", oid] = ("index", [*statements, *(f"ALTER INDEX {name} {target}" for target in targets)])

    def _switched(
        self, catalog: str, kind: str, oid: int, _: int, name: str, text: str, enabled: str, on: str, relation: str
    ) -> None:
        """Make a trigger or rule that does nothing until the opening: what it did is in the rows already."""
        key = (catalog, oid)
        if relation == "v":
            self._made[key] = (kind, [text])
            return
        self._made[key] = (kind, [text, f"ALTER TABLE {on} DISABLE {kind.upper()} {name}"])
        if enabled in _ENABLED and key in self._source.addresses:
            statement = f"ALTER TABLE {on} {_ENABLED[enabled]} {kind.upper()} {name}"
            undo, label = f"ALTER TABLE {on} DISABLE {kind.upper()} {name}", self._source.addresses[key][1]
            self._after(key, Phase.OPENING, f"{kind} enabled", label, f"enabled {enabled}", statement, undo)

    def _view(
        self,
        oid: int,
        name: str,
        kind: str,
        text: str,
        populated: bool,
        options: str,
        columns: str,
        defaults: list[str],
    ) -> None:
        key, given = ("pg_class", oid), f" WITH ({options})" if options else ""
        if kind == "v":
            self._made[key] = ("view", [f"CREATE VIEW {name} ({columns}){given} AS\n{text}", *defaults])
            return
        self._made[key] = (
            "materialized view",
            [f"CREATE MATERIALIZED VIEW {name} ({columns}){given} AS\n{text}\nWITH NO DATA"],
        )
        if populated:
            label = self._source.addresses[key][1]
            self._after(key, Phase.AFTER, "refresh", label, "populated", f"REFRESH MATERIALIZED VIEW {name}")

    def _after(
        self, key: Key, phase: Phase, kind: str, name: str, state: str, statement: str, undo: str | None = None
    ) -> None:
        if key in self._source.selection.things:
            done = self._source.addresses[key][0].state(state)
            step = Step(phase, kind, name, done, (statement,), () if undo is None else (undo,))
            self._later.setdefault(key, []).append(step)
