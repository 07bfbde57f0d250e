"""The walk through a statement's tree: which tables it reads, writes, locks and defines, and what it calls.

Names that a ``WITH`` gives are no tables where they are visible. The walk keeps a stack of its own: an expression of
five hundred operands is nested as deeply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from syncline.split.grammar import Tree
from syncline.split.names import Name

_LISTED = {"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"}
_WITHIN = {"OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY", "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT"}
_NO_TABLES = {"OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_TYPE", "REINDEX_OBJECT_INDEX"}
_SEQUENCES = {"nextval", "currval", "setval"}
_RUN_SQL = {
    **dict.fromkeys(("ts_stat", "crosstab", "crosstab2", "crosstab3", "crosstab4", "crosstabn"), 0),
    **dict.fromkeys(("query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema"), 0),
    "ts_rewrite": 1,
}
"""Functions that run an argument as SQL, and which one it is."""
_READ_TABLE = {"table_to_xml", "table_to_xmlschema", "table_to_xml_and_xmlschema"}
_READS = {"SelectStmt", "DeclareCursorStmt", "ExplainStmt", "PrepareStmt", "CallStmt", "ExecuteStmt", "DoStmt"}


class Scope(NamedTuple):
    """Where the walk is."""

    hidden: frozenset[str] = frozenset()
    """Names that a ``WITH`` gives."""
    defining: bool = False
    """Tables found here are created, altered or dropped, not read."""

    def but(self, *names: str) -> Scope:
        """Know more names, in a query."""
        return Scope(self.hidden.union(names))


class Walk:
    """What one statement touches; filled by ``of``."""

    def __init__(self) -> None:
        self.read: set[Name] = set()
        self.written: set[Name] = set()
        self.locked: set[Name] = set()
        self.defined: set[Name] = set()
        self.sequences: set[Name] = set()
        self.functions: set[Name] = set()
        self.bodies: list[tuple[str, str]] = []
        """Of each ``DO``: its language and its text."""
        self.texts: list[str] = []
        """SQL that functions are given to run."""
        self.unseen: list[str] = []
        self.paths: set[str | None] = set()
        """Schemas in which names without one are looked for from then on; ``None``: others that are not seen."""
        self.executes: str | None = None
        self._todo: list[tuple[Any, Scope]] = []

    def of(self, tree: Tree) -> None:
        """Walk through a statement."""
        name = next(iter(tree))
        self._todo.append((tree, Scope(defining=name not in _READS)))
        while self._todo:
            node, scope = self._todo.pop()
            if isinstance(node, list):
                self._todo += [(one, scope) for one in node if isinstance(one, dict)]
            elif "relname" in node:
                self._add(self.defined if scope.defining else self.read, node, scope)
            elif "limitOption" in node:
                self._select(node, scope)
            else:
                self._fields(node, scope)

    def _fields(self, node: Tree, scope: Scope) -> None:
        for name, value in node.items():
            if not isinstance(value, dict | list):
                continue
            if handle := _HANDLERS.get(name):
                handle(self, value, scope)
            else:
                self._todo.append((value, scope))

    def _add(self, to: set[Name], table: Tree, scope: Scope) -> None:
        name = Name(table.get("schemaname"), table["relname"])
        hidden = name.schema is None and name.name in scope.hidden
        if not (hidden or name.is_system or table.get("relpersistence") == "t"):
            to.add(name)

    def _with(self, node: Tree, scope: Scope) -> Scope:
        """Enter the queries of a ``WITH``; give the scope of what follows."""
        clause = node.get("withClause", {})
        queries = [one["CommonTableExpr"] for one in clause.get("ctes", ())]
        inner = scope.but(*(query["ctename"] for query in queries)) if clause.get("recursive") else scope.but()
        for query in queries:
            self._todo.append((query["ctequery"], inner))
            inner = inner.but(query["ctename"])
        return inner

    def _rest(self, node: Tree, scope: Scope, *without: str) -> None:
        kept = {name: value for name, value in node.items() if name not in without and name != "withClause"}
        self._fields(kept, scope)

    def _select(self, node: Tree, scope: Scope) -> None:
        inner = self._with(node, scope)
        for one in node.get("lockingClause", ()):
            self._lock_rows(node.get("fromClause", []), one["LockingClause"].get("lockedRels"), inner)
        if "intoClause" in node:
            self._add(self.defined, node["intoClause"]["rel"], Scope())
        for side in ("larg", "rarg"):
            if side in node:
                self._todo.append((node[side], inner))
        self._rest(node, inner, "intoClause", "lockingClause", "larg", "rarg")

    def _lock_rows(self, sources: Any, only: list[Tree] | None, scope: Scope) -> None:
        """Note what ``FOR UPDATE`` and its like lock: tables of the FROM, in its subqueries too, or those named."""
        wanted = None if only is None else {one["RangeVar"]["relname"] for one in only}
        todo = [sources]
        while todo:
            node = todo.pop()
            if isinstance(node, list):
                todo += node
            elif table := node.get("RangeVar"):
                if wanted is None or table.get("alias", {}).get("aliasname", table["relname"]) in wanted:
                    self._add(self.locked, table, scope)
            elif join := node.get("JoinExpr"):
                todo += [join["larg"], join["rarg"]]
            elif sample := node.get("RangeTableSample"):
                todo.append(sample["relation"])
            elif query := node.get("RangeSubselect"):
                name = query.get("alias", {}).get("aliasname")
                if wanted is None or name in wanted:
                    self._lock_within(query["subquery"]["SelectStmt"], scope)

    def _lock_within(self, query: Tree, scope: Scope) -> None:
        names = [one["CommonTableExpr"]["ctename"] for one in query.get("withClause", {}).get("ctes", ())]
        self._lock_rows(query.get("fromClause", []), None, scope.but(*names))
        for side in ("larg", "rarg"):
            if side in query:
                self._lock_within(query[side], scope.but(*names))

    def write(self, node: Tree, scope: Scope) -> None:
        self._add(self.written, node["relation"], Scope())
        self._rest(node, self._with(node, scope), "relation")

    def copy(self, node: Tree, _: Scope) -> None:
        if "relation" in node:
            self._add(self.written if node.get("is_from") else self.read, node["relation"], Scope())
        self._rest(node, Scope(), "relation")

    def each(self, to: str) -> Callable[[Tree, Scope], None]:
        def add(node: Tree, _: Scope) -> None:
            for one in node["relations"]:
                self._add(getattr(self, to), one["RangeVar"], Scope())

        return add

    def explain(self, node: Tree, _: Scope) -> None:
        inner = Walk()
        inner.of(node["query"])
        self.bodies += inner.bodies
        self.texts += inner.texts
        self.unseen += inner.unseen
        self.executes = inner.executes
        if any(_is_on(one["DefElem"]) for one in node.get("options", ()) if one["DefElem"]["defname"] == "analyze"):
            for name in ("read", "written", "locked", "defined", "sequences", "functions"):
                getattr(self, name).update(getattr(inner, name))
        else:  # it plans, and runs nothing
            self.read.update(inner.read, inner.written, inner.locked)

    def named(self, node: Tree, _: Scope) -> None:
        """Note the tables that ``DROP``, ``COMMENT`` and ``SECURITY LABEL`` name by lists of strings."""
        kind = node.get("removeType") or node.get("objtype")
        for one in node.get("objects") or [node.get("object", {})]:
            parts = [part["String"]["sval"] for part in one.get("List", {}).get("items", ()) if "String" in part]
            parts = parts[:-1] if kind in _WITHIN else parts
            if parts and kind in _LISTED | _WITHIN:
                schema = parts[-2] if len(parts) > 1 else None
                self._add(self.defined, {"schemaname": schema, "relname": parts[-1]}, Scope())

    def definition(self, node: Tree, scope: Scope) -> None:
        kind = node.get("renameType") or node.get("objectType") or node.get("objtype") or node.get("kind")
        skipped = ("relation", "objects", "sequence", "typevar") if kind in _NO_TABLES else ("sequence", "typevar")
        self._rest(node, scope, *skipped)

    def constraint(self, node: Tree, scope: Scope) -> None:
        if "pktable" in node:  # the other end of a foreign key: not defined here, but looked at for every row
            self._add(self.read, node["pktable"], Scope())
        self._rest(node, Scope(scope.hidden), "pktable")

    def like(self, node: Tree, _: Scope) -> None:
        self._add(self.read, node["relation"], Scope())

    def refresh(self, node: Tree, _: Scope) -> None:
        self._add(self.written, node["relation"], Scope())

    def into(self, node: Tree, _: Scope) -> None:
        self._add(self.defined, node["rel"], Scope())

    def call(self, node: Tree, scope: Scope) -> None:
        parts = [part["String"]["sval"] for part in node["funcname"]]
        name = Name(parts[-2] if len(parts) > 1 else None, parts[-1])
        if name.schema != "pg_catalog":
            self.functions.add(name)
        if name.name in _SEQUENCES and (sequence := _text(node.get("args", [{}])[0])):
            self.sequences.add(Name.read(sequence))
        if name.name in _READ_TABLE and (table := _text(node.get("args", [{}])[0])):
            self._add(self.read, _node(Name.read(table)), Scope())
        given = node.get("args", [])
        if name.name == "set_config" and given and _text(given[0]) == "search_path":
            value = _text(given[1]) if len(given) > 1 else None
            self.paths |= {None} if value is None else {part.strip().strip('"') for part in value.split(",")}
        place = _RUN_SQL.get(name.name, len(given))
        if place < len(given) and (name.name != "ts_rewrite" or len(given) == 2):  # with three it runs none
            text = _text(given[place])
            if text is not None:
                self.texts.append(text)
            else:
                self.unseen.append(f"dynamic SQL: {name.name}(…)")
        self._rest(node, scope, "funcname")

    def execute(self, node: Tree, scope: Scope) -> None:
        self.executes = node["name"]
        self._rest(node, scope)

    def rename(self, node: Tree, scope: Scope) -> None:
        if node.get("renameType") in _LISTED and "relation" in node:  # both names are its, one after the other
            self._add(self.defined, {**node["relation"], "relname": node["newname"]}, Scope())
        self.definition(node, scope)

    def move(self, node: Tree, scope: Scope) -> None:
        if node.get("objectType") in _LISTED and "relation" in node:
            self._add(self.defined, {**node["relation"], "schemaname": node["newschema"]}, Scope())
        self.definition(node, scope)

    def do(self, node: Tree, _: Scope) -> None:
        given = {one["DefElem"]["defname"]: one["DefElem"]["arg"]["String"]["sval"] for one in node.get("args", ())}
        self.bodies.append((given.get("language", "plpgsql"), given.get("as", "")))

    def setting(self, node: Tree, _: Scope) -> None:
        if node.get("name") == "search_path":
            self.paths |= {_text(one) for one in node.get("args", ())}

    def nothing(self, _: Tree, __: Scope) -> None:
        """Pass by what is not run now."""


def _is_on(option: Tree) -> bool:
    value: Tree = next(iter(option.get("arg", {}).values()), {})
    return str(next(iter(value.values()), True)).lower() not in ("false", "off", "0")


def _node(name: Name) -> Tree:
    return {"schemaname": name.schema, "relname": name.name}


def _text(node: Tree) -> str | None:
    """Read a literal, cast or not."""
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    text = node.get("A_Const", {}).get("sval", {}).get("sval")
    return text if isinstance(text, str) else None


def _kept(names: Iterable[str], handle: Callable[[Walk, Any, Scope], None]) -> dict[str, Any]:
    return dict.fromkeys(names, handle)


_HANDLERS: dict[str, Callable[[Walk, Any, Scope], None]] = {
    **_kept(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"), Walk.write),
    **_kept(("DropStmt", "CommentStmt", "SecLabelStmt"), Walk.named),
    **_kept(
        ("AlterTableStmt", "GrantStmt", "ReindexStmt", "CreateSeqStmt", "AlterSeqStmt"),
        Walk.definition,
    ),
    **_kept(("AlterOwnerStmt", "CompositeTypeStmt"), Walk.definition),
    "RenameStmt": Walk.rename,
    "AlterObjectSchemaStmt": Walk.move,
    "ExecuteStmt": Walk.execute,
    **_kept(("CreateFunctionStmt", "TypeName", "typeName", "ColumnRef"), Walk.nothing),
    "CopyStmt": Walk.copy,
    "TruncateStmt": lambda walk, node, scope: walk.each("written")(node, scope),
    "LockStmt": lambda walk, node, scope: walk.each("locked")(node, scope),
    "ExplainStmt": Walk.explain,
    "TableLikeClause": Walk.like,
    "Constraint": Walk.constraint,
    "RefreshMatViewStmt": Walk.refresh,
    "into": Walk.into,
    "FuncCall": Walk.call,
    "funccall": Walk.call,
    "DoStmt": Walk.do,
    "VariableSetStmt": Walk.setting,
}
