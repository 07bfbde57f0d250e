"""What has become of a table while it moves: followed on the other side, or the reason why its move stops. Pure.

The other side first gets what a new plan has to do before rows (types, sequences, functions that came), then the
statements of ``before``, before any row that is read from now on; those of ``after`` when all rows that were read
before are there: a rule that came later need not hold for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from syncline.split.schema.definitions import Definition, Part
from syncline.split.schema.tables import Column

_LADDERS = (("smallint", "integer", "bigint", "numeric"), ("real", "double precision"))
_LENGTHS = {"character varying": "text", "bit varying": "bit varying"}
"""Types with a length, and what they are without."""
_PRECISE = re.compile(r"(timestamp|time|interval[a-z ]*)(?:\((\d)\))?( with(?:out)? time zone)?")
_TYPE = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?")
NAMED_NOT_NULL = 18


@dataclass(slots=True)
class Change:
    """What to do."""

    table: str
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    """Why the move of this table cannot go on; it is made anew then. Others go on."""
    rewritten: bool = False
    """Verify the table: a column came, or a type was changed, and an expression may have changed values unseen."""
    drops: bool = False
    """A column goes: one of its name that comes meanwhile must not have been written over there before it has gone."""

    @property
    def followed(self) -> bool:
        """Whether the other side can be altered likewise."""
        return not self.stop


def changed(old: Definition, new: Definition | None, *, moving: frozenset[int], major: int) -> Change:
    """Compare a table with what it was.

    Args:
        old: when it was read last.
        new: now; ``None``: it is gone.
        moving: the oids of all tables that move.
        major: the release of the other side.

    """
    change = Change(old.table.quoted)
    if new is None:
        change.stop.append(f"the table {old.table.quoted} was dropped")
        return change
    _table(change, old, new)
    _parts(change, old, new, moving)
    _columns(change, old, new, major)
    _after(change, old, new)
    change.before[:0] = _taken(old.marks, new.marks)  # of a column, while it is there
    change.after += _given(old.marks, new.marks)
    return change


def _table(change: Change, old: Definition, new: Definition) -> None:
    one, other = old.table, new.table
    alter = f"ALTER TABLE {one.quoted}"
    if one.quoted != other.quoted:
        change.stop.append(f"the table {one.quoted} was renamed to {other.quoted}")
    if (one.parent, one.bound) != (other.parent, other.bound):
        now = f"is a partition of {other.parent} {other.bound}" if other.parent else "is no partition any more"
        change.stop.append(f"the table {one.quoted} {now}")
    for what, was, is_ in (("access method", one.method, other.method), ("type", one.type, other.type)):
        if was != is_:
            change.stop.append(f"the {what} of {one.quoted} was changed from {was} to {is_}")
    if one.persistence != other.persistence:
        change.before.append(f"{alter} SET {'UNLOGGED' if other.persistence == 'u' else 'LOGGED'}")
    if gone := {option.split("=")[0] for option in one.options} - {option.split("=")[0] for option in other.options}:
        change.before.append(f"{alter} RESET ({', '.join(sorted(gone))})")
    if added := [option for option in other.options if option not in one.options]:
        change.before.append(f"{alter} SET ({', '.join(added)})")
    if other.identity not in {one.identity, "i"}:
        how = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}[other.identity]
        change.before.append(f"{alter} REPLICA IDENTITY {how}")
    if one.row_security and not other.row_security:
        change.before.append(f"{alter} DISABLE ROW LEVEL SECURITY")
    if one.forced and not other.forced:
        change.before.append(f"{alter} NO FORCE ROW LEVEL SECURITY")
    if other.row_security and not one.row_security:
        change.after.append(f"{alter} ENABLE ROW LEVEL SECURITY")


def _parts(change: Change, old: Definition, new: Definition, moving: frozenset[int]) -> None:
    """Take away what is gone, first: what stands in the way of a column goes with it."""
    was, now = _named(old), _named(new)
    for key, part in was.items():
        if key in now and (now[key].text == part.text or _validated(part, now[key])):
            continue
        if part.kind == "primary key":
            change.stop.append(f"the primary key of {old.table.quoted} was {'changed' if key in now else 'dropped'}")
        else:
            change.before.append(part.drop)
    for key, part in now.items():
        if part.kind == "foreign key" and part.other not in moving and key not in was:
            change.stop.append(
                f"{new.table.quoted} was given a foreign key to a table that stays: {part.name} {part.text}"
            )


def _after(change: Change, old: Definition, new: Definition) -> None:
    """Make what is new, when the rows that came before it are there."""
    was = _named(old)
    for key, part in _named(new).items():
        if key not in was or (was[key].text != part.text and not _validated(was[key], part)):
            if part.kind != "primary key":
                change.after += [*part.make, *part.marks.values()]
            elif key not in was:
                change.stop.append(f"{new.table.quoted} was given a primary key")
            continue
        if was[key].text != part.text:
            change.after.append(f"ALTER TABLE {new.table.quoted} VALIDATE CONSTRAINT {part.name}")
        change.after += [*_taken(was[key].marks, part.marks), *_given(was[key].marks, part.marks)]


def _taken(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Take comments and rights that are gone; another comment takes the place of the one before."""
    return [take for take in old if take not in new]


def _given(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [give for give in new.values() if give not in old.values()]


def _validated(old: Part, new: Part) -> bool:
    return old.text in (new.text, f"{new.text} NOT VALID")


def _named(definition: Definition) -> dict[tuple[str, str], Part]:
    return {(part.kind, part.name): part for part in definition.parts}


def _columns(change: Change, old: Definition, new: Definition, major: int) -> None:
    was = {column.number: column for column in old.table.columns}
    now = {column.number: column for column in new.table.columns}
    alter, rewritten = f"ALTER TABLE {old.table.quoted}", old.table.file != new.table.file
    renamed = [(was[number], column) for number, column in now.items() if was.get(number, column).name != column.name]
    if renamed:  # expressions and indexes have followed it
        told = [
            f"the column {one.quoted} of {old.table.quoted} was renamed to {other.quoted}" for one, other in renamed
        ]
        change.stop += told
        return
    gone = sorted((was[number] for number in was.keys() - now.keys()), key=lambda one: not one.generated)
    came = {now[number].name for number in now.keys() - was.keys()}
    if anew := [column for column in gone if column.name in came]:  # values of it may be over there, in the old one
        change.stop += [f"the column {column.quoted} of {change.table} was dropped and added anew" for column in anew]
        return
    # No CASCADE: it would take what nobody has dropped here; where something depends on the column, that is said.
    change.before += [f"{alter} DROP COLUMN IF EXISTS {column.quoted}" for column in gone]
    change.drops = bool(gone)
    for number, column in now.items():
        if number not in was:
            _added(change, alter, column, rewritten=rewritten)
            change.rewritten = True  # what was read meanwhile may have been written without it
        else:
            _altered(change, alter, was[number], column, major)
            change.rewritten |= column.type != was[number].type


def _added(change: Change, alter: str, column: Column, *, rewritten: bool) -> None:
    """Give rows that are there the value that they have here; what comes later has the default."""
    own = column.default is not None and not column.generated
    if rewritten and ((own and column.missing is None) or column.identity):
        what = f"default {column.default}" if own else "identity"
        change.stop.append(
            f"the column {column.quoted} came with the {what}, which gave each row of {change.table} a value of its own"
        )
        return
    if column.generated or column.identity:
        change.before.append(f"{alter} ADD COLUMN {column.definition()}")
    else:
        first = None if column.missing is None else _literal(column.missing, column.type)
        bare = replace(column, default=first, not_null=column.not_null and first is not None)
        change.before.append(f"{alter} ADD COLUMN {bare.definition()}")
        if column.default != first:
            change.before.append(f"{alter} ALTER COLUMN {column.quoted} {_default(column)}")
        if column.not_null and first is None:
            change.after.append(f"{alter} ALTER COLUMN {column.quoted} SET NOT NULL")
    change.before += [f"{alter} {action}" for action in column.settings()]


def _altered(change: Change, alter: str, old: Column, new: Column, major: int) -> None:
    place = f"{alter} ALTER COLUMN {new.quoted}"
    if (old.type, old.collation) != (new.type, new.collation):
        if old.collation == new.collation and is_widening(old.type, new.type):
            change.before.append(f"{place} TYPE {new.type}" + (f" COLLATE {new.collation}" if new.collation else ""))
        else:
            what = f"from {old.type} to {new.type}" if old.type != new.type else "in its collation"
            change.stop.append(f"the column {new.quoted} of {change.table} was changed {what}")
    if old.generated and not new.generated:
        change.before.append(f"{place} DROP EXPRESSION")
        if new.default is not None:
            change.before.append(f"{place} {_default(new)}")
    elif old.generated or new.generated:
        if (old.generated, old.default) != (new.generated, new.default):
            change.stop.append(f"the column {new.quoted} of {change.table} is generated otherwise: {new.default}")
    elif old.default != new.default:
        change.before.append(f"{place} {_default(new)}")
    change.before += _identity(change, place, old, new)
    if old.not_null and not new.not_null:
        change.before.append(f"{place} DROP NOT NULL")
    elif new.not_null and not old.not_null:
        named = new.not_null_name is not None and major >= NAMED_NOT_NULL
        rule = f"{alter} ADD CONSTRAINT {new.not_null_name} NOT NULL {new.quoted}"
        change.after.append(rule if named else f"{place} SET NOT NULL")
    change.before += _settings(place, old, new)


def _identity(change: Change, place: str, old: Column, new: Column) -> Iterator[str]:
    how = {"a": "ALWAYS", "d": "BY DEFAULT"}
    if old.identity and not new.identity:
        yield f"{place} DROP IDENTITY"
    elif new.identity and not old.identity:
        yield f"{place} ADD GENERATED {how[new.identity]} AS IDENTITY ({new.sequence})"
    elif old.sequence != new.sequence:
        change.stop.append(f"the sequence of {new.quoted} of {change.table} was altered: {new.sequence}")
    elif old.identity != new.identity:
        yield f"{place} SET GENERATED {how[new.identity]}"


def _settings(place: str, old: Column, new: Column) -> Iterator[str]:
    if old.storage != new.storage:
        yield f"{place} SET STORAGE {new.storage or 'DEFAULT'}"
    if old.compression != new.compression:
        yield f"{place} SET COMPRESSION {new.compression or 'default'}"
    if old.statistics != new.statistics:
        yield f"{place} SET STATISTICS {-1 if new.statistics is None else new.statistics}"
    if gone := {option.split("=")[0] for option in old.options} - {option.split("=")[0] for option in new.options}:
        yield f"{place} RESET ({', '.join(sorted(gone))})"
    if added := [option for option in new.options if option not in old.options]:
        yield f"{place} SET ({', '.join(added)})"


def is_widening(old: str, new: str) -> bool:
    """Tell a type that takes every value of another as it is, written in the same way."""
    old, new = old.replace('"', ""), new.replace('"', "")
    for ladder in _LADDERS:
        if old in ladder and new in ladder:
            return ladder.index(old) <= ladder.index(new)
    one, other = _PRECISE.fullmatch(old), _PRECISE.fullmatch(new)
    if one and other:
        return one[1] == other[1] and one[3] == other[3] and int(one[2] or 6) <= int(other[2] or 6)
    first, second = _TYPE.fullmatch(old), _TYPE.fullmatch(new)
    if first is None or second is None:
        return False
    if first[1] in _LENGTHS and second[1] in (first[1], _LENGTHS[first[1]]):
        return second[2] is None or (first[2] is not None and second[1] == first[1] and int(first[2]) <= int(second[2]))
    if (first[1], second[1], second[2]) == ("text", "character varying", None):
        return True
    if first[1] == second[1] == "numeric":
        return second[2] is None or (first[2] is not None and first[3] == second[3] and int(first[2]) <= int(second[2]))
    return False


def _default(column: Column) -> str:
    return "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"


def _literal(value: str, type_: str) -> str:
    escaped = value.replace("'", "''").replace("\\", "\\\\")
    return f"E'{escaped}'::{type_}" if "\\" in value else f"'{escaped}'::{type_}"
