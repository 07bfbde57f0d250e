"""From a declaration to tables and plans; what contradicts itself is refused here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from bson.decimal128 import Decimal128

from syncline.errors import DeclarationError, MappingError
from syncline.model.documents.declaration import Array, Collection, Field, Inner, Part
from syncline.model.documents.plans import ArrayPlan, FieldPlan, FlatPlan, InnerPlan, KeyPlan, Level, Node, Plan
from syncline.model.documents.tables import OURS, Column, Table, checked_name, key_names
from syncline.model.documents.types import ID_TYPES, TYPES, Type
from syncline.model.documents.values import NOTHING
from syncline.model.entity import TableName

_KEY, _REST = Field(""), Field("jsonb")
_POSITION = TYPES["integer"]


def compile_collection(collection: Collection) -> tuple[KeyPlan, Level, tuple[Table, ...]]:
    """Make the tables and the plan of a collection.

    Raises:
        DeclarationError: it contradicts itself; the message names the setting.

    """
    compiler = _Compiler(collection)
    try:
        top = compiler.top()
        compiler.require_indexed_columns()
    except MappingError as error:
        raise DeclarationError(error.message, hint=error.hint, setting=tuple(compiler.at)) from error
    return compiler.key, top, tuple(table for table in compiler.tables if table is not None)


class _Compiler:
    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.tables: list[Table | None] = []
        self.at: list[str] = []
        """The setting that is read."""
        self.id = _named(collection.id, ID_TYPES, f"collections.{collection.name}.id")
        self.key = KeyPlan(self.id)

    @contextmanager
    def _within(self, *setting: str) -> Iterator[None]:
        """Say which setting is read in a block; behind an error it stays."""
        before = len(self.at)
        self.at += setting
        yield
        del self.at[before:]

    def top(self) -> Level:
        with self._within("table"):
            name = self._table(self.collection.table, TableName("public", f"postgres_{self.collection.name}"), "table")
        return self._level(self.collection.part, name, "", 0, None, plans={"_id": self.key}, reserved=OURS)

    def require_indexed_columns(self) -> None:
        """See that the columns of declared indexes are there."""
        table = self.tables[0]
        names = {*OURS, *(column.name for column in table.columns)} if table else set()
        self.at = ["indexes"]
        for columns in self.collection.indexes:
            for name in columns:
                if name not in names:
                    close = get_close_matches(name, names, n=1)
                    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(names))}"
                    raise MappingError(f"{self._where()}: indexes: there is no column {name!r}", hint=hint)

    def _level(
        self,
        part: Part,
        name: TableName,
        path: str,
        depth: int,
        parent: int | None,
        *,
        plans: Mapping[str, Plan] | None = None,
        reserved: tuple[str, ...] = (),
    ) -> Level:
        number = self._begun()
        columns = self._key_columns(depth)
        node = Node(path, self.collection.keep_order, dict(plans or {}))
        level = Level(number, 0, len(columns), None, node)
        with self._within("order"):
            paths = _in_order(part, f"{self._where()}: {path}")
        for kind, inner in paths:
            with self._within(kind, inner):
                place, last = _place(node, inner, f"{self._where()}: {path}{inner}")
                shown = f"{path}{inner}"
                if kind == "columns":
                    one = part.columns[inner]
                    place.plans[last] = self._field(shown, one, one.column or inner.replace(".", "_"), columns)
                elif kind == "arrays":
                    place.plans[last] = self._array(shown, inner, part.arrays[inner], name, depth, level)
                else:
                    place.plans[last] = self._inner(shown, inner, part.objects[inner], name, depth, level)
        with self._within("ignore"):
            for inner in part.ignore:
                _ignore(node, inner, self._where())
        if part.rest:
            level.rest = len(columns)
            columns.append(Column(checked_name(part.rest, self._where(), "rest"), TYPES["jsonb"], "", _REST))
        level.width = len(columns)
        self._finish(number, name, columns, level.keys, parent, level.rest, reserved)
        return level

    def _array(self, shown: str, path: str, array: Array, around: TableName, depth: int, outer: Level) -> Plan:
        _one_of(array.no_rows, ("missing", "empty"), f"{self._where()}: no_rows of {shown}")
        name = self._child(array.table, around, path)
        if array.value is None:
            level = self._level(array.part, name, f"{shown}[].", depth + 1, outer.number)
            return ArrayPlan(shown, level.number, outer.keys, level, array.no_rows)
        number = self._begun()
        columns = self._key_columns(depth + 1)
        keys = len(columns)
        item = self._field(f"{shown}[]", array.value, array.value.column or path.rpartition(".")[2], columns)
        self._finish(number, name, columns, keys, outer.number, None, ())
        return ArrayPlan(shown, number, outer.keys, item, array.no_rows)

    def _inner(self, shown: str, path: str, inner: Inner, around: TableName, depth: int, outer: Level) -> Plan:
        name = self._child(inner.table, around, path)
        return InnerPlan(self._level(inner.part, name, f"{shown}.", depth, outer.number))

    def _field(self, path: str, declared: Field, column: str, columns: list[Column]) -> FieldPlan:
        where = f"{self._where()}: {path}"
        type_ = _named(declared.type, TYPES, f"{where}: type")
        _one_of(declared.null, ("missing", "null"), f"{where}: null")
        if declared.values and type_.name != "text":
            raise MappingError(f"{where}: values are texts, and its type is {type_.name}", hint='type = "text"')
        if declared.enum and not declared.values:
            raise MappingError(f"{where}: enum = {declared.enum!r} is a type without values", hint='values = ["…"]')
        default = _default(declared, type_, where)
        name = checked_name(column, where, "column")
        columns.append(Column(name, type_, path, declared, default))
        return FieldPlan(path, len(columns) - 1, type_, declared, default)

    def _child(self, given: str, around: TableName, path: str) -> TableName:
        without = TableName(around.schema, f"{around.name}_{path.replace('.', '_')}")
        return self._table(given, without, f"table of {path}")

    def _table(self, given: str, without: TableName, what: str) -> TableName:
        if given and not TableName.possible(given):
            raise MappingError(f"{self._where()}: {what}: {given!r} is no `table` or `schema.table`")
        name = TableName.parse(given) if given else without
        for one in (name.schema, name.name):
            checked_name(one, f"{self._where()}: {what}", "table")
        return name

    def _key_columns(self, depth: int) -> list[Column]:
        first, *others = key_names(self.collection.id_column, depth)
        name = checked_name(first, self._where(), "id_column")
        return [Column(name, self.id, "_id", _KEY), *(Column(one, _POSITION, "", _KEY) for one in others)]

    def _begun(self) -> int:
        self.tables.append(None)
        return len(self.tables) - 1

    def _finish(
        self,
        number: int,
        name: TableName,
        columns: list[Column],
        keys: int,
        parent: int | None,
        rest: int | None,
        reserved: tuple[str, ...],
    ) -> None:
        names: set[str] = set(reserved)
        for column in columns:
            if column.name in names:
                paths = [one.path for one in columns if one.name == column.name and one.path]
                self.at += ("columns", paths[-1]) if paths else ("rest",)
                where = f"{self._where()}: the column {column.name!r} of {name}"
                if column.name in reserved:
                    raise MappingError(f"{where} is ours", hint="give the field another `column`")
                raise MappingError(f"{where} is filled twice", hint="give one of the fields another `column`")
            names.add(column.name)
        if any(table is not None and table.name == name for table in self.tables):
            raise MappingError(f"{self._where()}: two of its tables are called {name}", hint="give one another `table`")
        self.tables[number] = Table(number, name, tuple(columns), keys, parent, rest)

    def _where(self) -> str:
        return f"collection {self.collection.name}"


def _in_order(part: Part, where: str) -> list[tuple[str, str]]:
    """List the kinds and paths of what is declared."""
    declared = [(kind, path) for kind in ("columns", "arrays", "objects") for path in getattr(part, kind)]
    paths = [path for _, path in declared]
    for path in part.order:
        if path not in paths:
            close = get_close_matches(path, paths, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "leave it out; what is not declared comes last"
            raise MappingError(f"{where}order names {path!r}, which is not declared", hint=hint)
    places = {path: place for place, path in enumerate(part.order)}
    return sorted(declared, key=lambda one: places.get(one[1], len(places)))


def _place(node: Node, path: str, where: str) -> tuple[Node, str]:
    """Find the document in which the last part of a path stands; those on the way are flattened."""
    *around, last = path.split(".")
    if "_id" in node.plans and (*around, last)[0] in _NOT_THEIRS:
        raise MappingError(f"{where}: {_NOT_THEIRS[(*around, last)[0]]}", hint="leave it out")
    for name in around:
        plan = node.plans.setdefault(name, FlatPlan(Node(f"{node.path}{name}.", node.keep_order)))
        if not isinstance(plan, FlatPlan):
            raise MappingError(f"{where}: {name!r} is declared as a value, too", hint="keep one of the two")
        node = plan.node
    if not all((*around, last)):
        raise MappingError(f"{where} is no path", hint="names with a dot between them")
    if last in node.plans:
        raise MappingError(f"{where} is declared twice", hint="keep one of the two")
    return node, last


def _ignore(node: Node, path: str, where: str) -> None:
    *around, last = path.split(".")
    for name in around:
        plan = node.plans.setdefault(name, FlatPlan(Node(f"{node.path}{name}.", node.keep_order)))
        if not isinstance(plan, FlatPlan):
            raise MappingError(f"{where}: ignore: {path!r} lies within a value", hint="ignore the whole, or nothing")
        node = plan.node
    if last in node.plans:
        raise MappingError(f"{where}: {path!r} has a place and is ignored", hint="take it out of `ignore`")
    node.ignored.add(last)


def _default(declared: Field, type_: Type, where: str) -> Any:
    if declared.default is NOTHING:
        return None
    given = declared.default
    if type_.name == "numeric" and isinstance(given, (int, float, str, Decimal)) and not isinstance(given, bool):
        given = Decimal128(str(given))
    shown = type_.show(given) if type_.name in _WITH_DEFAULT else None
    if shown is not None and declared.values and shown not in declared.values:
        raise MappingError(f"{where}: default = {declared.default!r} is not among its `values`", hint="add it to them")
    if shown is None:
        raise MappingError(f"{where}: default = {declared.default!r} is no {type_.name}", hint="or leave it out")
    return shown


_NOT_THEIRS = {"_id": "the key's column is there already: `id` has its type", "_sync": "the field is Syncline's"}
_WITH_DEFAULT = frozenset({"text", "boolean", "integer", "bigint", "long", "double", "number", "numeric"})


def _named(name: str, known: Mapping[str, Type], where: str) -> Type:
    found = known.get(name)
    if found is None:
        close = get_close_matches(name, known, n=1)
        raise MappingError(
            f"{where} = {name!r} is unknown",
            hint=f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(known)}",
        )
    return found


def _one_of(value: str, known: Iterable[str], where: str) -> None:
    if value not in known:
        raise MappingError(f"{where} = {value!r} is unknown", hint=f"one of: {', '.join(known)}")
