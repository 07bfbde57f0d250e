"""From a catalog to findings: every tie between tables of two databases. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from syncline.split.catalogue import Catalogue, Function
from syncline.split.findings import Finding, Kind
from syncline.split.names import Name
from syncline.split.ownership import Ownership
from syncline.split.statements import Script, parse, parse_function
from syncline.split.texts import digest, shortened

_ACTIONS = {"c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_PARAMETER = re.compile(r"\$\d+")
_STANDING = ("'1'", "1", "a")
"""A text, a number, a name: ``INTERVAL $1``, ``FETCH $1``, ``SAVEPOINT $1``."""
HIDDEN = "<insufficient privilege>"
"""What pg_stat_statements shows of other roles' statements."""
_TABLES = ("r", "p", "f")


class Ties:
    """The ties of one catalog, judged by who owns which table."""

    def __init__(self, catalogue: Catalogue, ownership: Ownership) -> None:
        self._all = catalogue
        self._ownership = ownership
        self._by_name: dict[str, list[int]] = {}
        for oid, name in catalogue.names.items():
            self._by_name.setdefault(name.name, []).append(oid)

    def findings(self) -> Iterator[Finding]:
        """Give all of them, sort by sort."""
        yield from self._unowned()
        yield from self._foreign_keys()
        yield from self._inheritance()
        yield from self._sequences()
        yield from self._uses()
        yield from self._functions()
        yield from self._triggers()
        yield from self._expressions()
        yield from self._statements()

    def _unowned(self) -> Iterator[Finding]:
        for oid, kind in self._all.kinds.items():
            if kind in _TABLES and self._owner(oid) is None and not self._ownership.is_everywhere(self._all.names[oid]):
                name = str(self._all.names[oid])
                yield Finding(Kind.UNOWNED, name, f"no rule says in which database {name} is", (name,))

    def _foreign_keys(self) -> Iterator[Finding]:
        for key in self._all.foreign_keys:
            actions = [
                f"ON {event} {_ACTIONS[action]}"
                for event, action in (("DELETE", key.on_delete), ("UPDATE", key.on_update))
                if action in _ACTIONS
            ]
            told = f" ({', '.join(actions)} writes there, too)" if actions else ""
            yield from self._between(
                Kind.FOREIGN_KEY,
                f"{self._text(key.table)}.{key.name}",
                f"{self._text(key.table)}: {key.definition}{told}",
                (key.table, key.other),
            )

    def _inheritance(self) -> Iterator[Finding]:
        for child, parent in self._all.inheritance:
            message = f"{self._text(child)} is a child or partition of {self._text(parent)}"
            yield from self._between(Kind.INHERITANCE, self._text(child), message, (child, parent))

    def _sequences(self) -> Iterator[Finding]:
        users: dict[int, set[int]] = {}
        for drawing in self._all.sequences:
            users.setdefault(drawing.sequence, set()).update(
                table for table in (drawing.owner, drawing.user) if table is not None
            )
        for function, sequences in self._draws.items():
            for sequence in sequences:
                users.setdefault(sequence, set()).update(self._served.get(function, ()), self._reach[function][0])
        for sequence, tables in users.items():
            drawn = ", ".join(sorted(self._text(table) for table in tables))
            message = f"the sequence {self._text(sequence)} serves {drawn}"
            yield from self._between(Kind.SEQUENCE, self._text(sequence), message, tables)

    def _uses(self) -> Iterator[Finding]:
        grouped: dict[tuple[str, int, str], set[int]] = {}
        for use in self._all.uses:
            grouped.setdefault((use.kind, use.table, use.name), set()).add(use.other)
        for (kind, table, name), others in grouped.items():
            own = self._text(table) if kind == "view" else f"{self._text(table)}.{name}"
            tables = {one for other in others for one in self._expanded(other)}
            if kind != "view":
                tables |= self._expanded(table)
            listed = ", ".join(sorted(self._text(one) for one in tables if self._all.kinds.get(one) != "S"))
            yield from self._between(Kind(kind), own, f"the {kind} {own} is about {listed}", tables)

    def _functions(self) -> Iterator[Finding]:
        for function in self._all.functions:
            tables, unseen = self._reach[function.oid]
            name = _signature(function)
            listed = ", ".join(sorted(map(self._text, tables)))
            yield from self._between(Kind.FUNCTION, name, f"the function {name} is about {listed}", tables)
            if unseen:
                yield Finding(
                    Kind.UNSEEN, name, f"the function {name} cannot be seen into: {'; '.join(sorted(unseen))}"
                )

    def _triggers(self) -> Iterator[Finding]:
        for trigger in self._all.triggers:
            tables, _ = self._reach.get(trigger.function, (frozenset(), frozenset()))
            name = f"{self._text(trigger.table)}.{trigger.name}"
            listed = ", ".join(sorted(map(self._text, tables)))
            message = f"the trigger {name} runs a function about {listed}"
            yield from self._between(Kind.TRIGGER, name, message, {trigger.table, *tables})

    def _expressions(self) -> Iterator[Finding]:
        for use in self._all.expressions:
            tables, _ = self._reach.get(use.other, (frozenset(), frozenset()))
            own = self._text(use.table) if use.kind == "view" else f"{self._text(use.table)}.{use.name}"
            listed = ", ".join(sorted(map(self._text, tables)))
            message = f"the {use.kind} {own} calls a function about {listed}"
            yield from self._between(Kind.EXPRESSION, own, message, self._expanded(use.table) | tables)

    def _statements(self) -> Iterator[Finding]:
        for text, calls in self._all.statements or ():
            if text == HIDDEN:
                told = f"statements of other roles, run {calls} times, are hidden: GRANT pg_read_all_stats shows them"
                yield Finding(Kind.UNSEEN, "pg_stat_statements", told, calls=calls)
                continue
            script = _normalised(text)
            tables, unseen = self._reached(script)
            yield from self._between(Kind.STATEMENT, digest(text), shortened(text), tables, calls)
            if script.error and not text.endswith("..."):
                unseen = unseen | {script.error}
            if unseen:
                told = f"{shortened(text)}: {'; '.join(sorted(unseen))}"
                yield Finding(Kind.UNSEEN, digest(text), told, calls=calls)

    def _between(
        self, kind: Kind, name: str, message: str, tables: Iterable[int], calls: int | None = None
    ) -> Iterator[Finding]:
        """Make a finding if the tables are of several databases."""
        owners = {self._text(table): self._owner(table) for table in tables}
        found = {owner for owner in owners.values() if owner is not None}
        if len(found) > 1:
            databases = tuple(one for one in self._ownership.names if one in found)
            told = "; ".join(
                f"{', '.join(sorted(table for table, owner in owners.items() if owner == one))} in {one}"
                for one in databases
            )
            listed = tuple(sorted(table for table, owner in owners.items() if owner is not None))
            yield Finding(kind, name, f"{message} [{told}]", listed, databases, calls)

    def _owner(self, table: int) -> str | None:
        name = self._all.names.get(table)
        if name is None or self._all.kinds[table] not in _TABLES:
            return None
        return self._ownership.owner(name)

    def _text(self, oid: int) -> str:
        return str(self._all.names.get(oid, oid))

    def _expanded(self, oid: int) -> frozenset[int]:
        """Give a table itself, and for a view the tables that it reads, through other views, too."""
        found, todo = set(), [oid]
        while todo:
            one = todo.pop()
            if one not in found:
                found.add(one)
                todo += self._read_by.get(one, ())
        return frozenset(one for one in found if self._all.kinds.get(one) in _TABLES)

    @cached_property
    def _read_by(self) -> Mapping[int, set[int]]:
        read: dict[int, set[int]] = {}
        for use in self._all.uses:
            if use.kind == "view":
                read.setdefault(use.table, set()).add(use.other)
        return read

    def _found(self, name: Name) -> list[int]:
        """Give the relations that a name in a text may mean; none for a variable or a transition table."""
        oids = self._by_name.get(name.name, [])
        return [oid for oid in oids if name.schema in (None, self._all.names[oid].schema)]

    def _reached(self, script: Script) -> tuple[frozenset[int], frozenset[str]]:
        """Give the tables that a text touches, through functions that it calls, and what could not be seen into."""
        tables = {one for name in script.tables for oid in self._found(name) for one in self._expanded(oid)}
        unseen = set(script.unseen)
        for name in script.functions:
            for function in self._called(name):
                further, hidden = self._reach[function.oid]
                tables |= further
                unseen |= hidden
        return frozenset(tables), frozenset(unseen)

    def loose_sequences(self) -> frozenset[int]:
        """Find the sequences that no table owns, and from which no default and no function draws, as far as is seen."""
        used = {one.sequence for one in self._all.sequences if one.owner is not None or one.user is not None}
        drawn = frozenset[int]().union(*self._draws.values())
        return frozenset(oid for oid, kind in self._all.kinds.items() if kind == "S") - used - drawn

    @cached_property
    def _draws(self) -> Mapping[int, frozenset[int]]:
        """Give the sequences that the text of each function names."""
        return {
            one.oid: frozenset(
                oid for name in self._scripts[one.oid].sequences for oid in self._all.sequences_named(name, one.schema)
            )
            for one in self._all.functions
        }

    @cached_property
    def _served(self) -> Mapping[int, set[int]]:
        """Give the tables for which each function runs: by a trigger, a default, and so on; through others, too."""
        served: dict[int, set[int]] = {}
        for trigger in self._all.triggers:
            served.setdefault(trigger.function, set()).add(trigger.table)
        for use in self._all.expressions:
            served.setdefault(use.other, set()).update(self._expanded(use.table))
        todo = list(served)
        while todo:
            function = todo.pop()
            for called in self._calls.get(function, ()):
                if not served[function] <= served.setdefault(called, set()):
                    served[called] |= served[function]
                    todo.append(called)
        return served

    @cached_property
    def _scripts(self) -> Mapping[int, Script]:
        return {one.oid: _script(one) for one in self._all.functions}

    @cached_property
    def _calls(self) -> Mapping[int, set[int]]:
        return {
            oid: {called.oid for name in script.functions for called in self._called(name)} - {oid}
            for oid, script in self._scripts.items()
        }

    def _called(self, name: Name) -> list[Function]:
        return [one for one in self._functions_named.get(name.name, ()) if name.schema in (None, one.schema)]

    @cached_property
    def _functions_named(self) -> Mapping[str, list[Function]]:
        named: dict[str, list[Function]] = {}
        for function in self._all.functions:
            named.setdefault(function.name, []).append(function)
        return named

    @cached_property
    def _reach(self) -> Mapping[int, tuple[frozenset[int], frozenset[str]]]:
        """Give what each function touches by itself or through others: grown until nothing is added."""
        scripts, calls = self._scripts, self._calls
        tables = {
            oid: {one for name in script.tables for found in self._found(name) for one in self._expanded(found)}
            for oid, script in scripts.items()
        }
        unseen = {
            oid: set(script.unseen) | ({script.error} if script.error else set()) for oid, script in scripts.items()
        }
        grown = True
        while grown:
            before = sum(map(len, tables.values())) + sum(map(len, unseen.values()))
            for oid, called in calls.items():
                for other in called:
                    tables[oid] |= tables[other]
                    unseen[oid] |= unseen[other]
            grown = before < sum(map(len, tables.values())) + sum(map(len, unseen.values()))
        return {oid: (frozenset(tables[oid]), frozenset(unseen[oid])) for oid in scripts}


def _normalised(text: str) -> Script:
    """Parse a text of the statistics, where ``$1`` also stands for what the grammar takes no parameter for."""
    script = parse(text)
    readings = (_PARAMETER.sub(standing, text) for standing in _STANDING) if script.error else ()
    return next((found for found in map(parse, readings) if found.error is None), script)


def _signature(function: Function) -> str:
    return f"{Name(function.schema, function.name)}({function.arguments})"


def _script(function: Function) -> Script:
    if function.definition is None:
        return Script(unseen=(f"it is written in {function.language}",))
    return parse_function(function.definition)
