"""What changed about an entity's tables since a worker looked last, and whether it is still captured. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncline.capture.postgres.triggers import DELETE, INSERT, ROW, TRUNCATE, UPDATE
from syncline.journal.tables import Seen, State, WatchedEntity, WatchedTable
from syncline.model.link import current

WHOLE: Sequence[tuple[str, Mapping[str, Any]]] = (("backfill", {}), ("sweep", {}))
_STATEMENTS = (("insert", INSERT, "INSERT"), ("update", UPDATE, "UPDATE"), ("delete", DELETE, "DELETE"))


@dataclass(slots=True)
class Difference:
    """What makes documents differ from what they should say although no row was written."""

    whole: list[str] = field(default_factory=list)
    """Reasons to mark every record, and what the target has and the source has not."""
    came: list[Seen] = field(default_factory=list)
    """Partitions and children of the entity's own table that were not there before."""
    went: list[str] = field(default_factory=list)
    """Reasons for a sweep."""

    def __bool__(self) -> bool:
        return bool(self.whole or self.came or self.went)


def state(entity: WatchedEntity) -> State:
    """Write down what is to be remembered."""
    return {
        "tables": [_table_state(watched) for watched in entity.tables],
        "triggers": {
            f"{seen.oid} {name}": trigger["version"]
            for watched in entity.tables
            for seen in watched.seen
            for name, trigger in (seen.triggers or {}).items()
            if name.startswith(f"{current().trigger_prefix}{entity.id}_")
        },
    }


def difference(entity: WatchedEntity, now: State) -> Difference:
    """Compare with what is remembered; nothing: there is no difference, or nothing was remembered."""
    found = Difference()
    before = entity.remembered
    if before is None or len(before["tables"]) != len(now["tables"]):
        return found
    for place, (watched, old, new) in enumerate(zip(entity.tables, before["tables"], now["tables"], strict=True)):
        _compare(found, watched, old, new, own=place == 0)
    if "triggers" in before and entity.by_triggers:
        _compare_triggers(found, entity, before, now)
    return found


def problems(entity: WatchedEntity, *, stopped: bool = False) -> list[str]:
    """Say what of the entity's changes is not captured, and why; empty: everything is.

    Args:
        entity: with what the catalog says of its tables.
        stopped: it is not served, which is said elsewhere: a column that is away is the reason for both.

    """
    found: list[str] = []
    for place, watched in enumerate(entity.tables):
        if not watched.seen:
            continue  # its entity stands still, and that is said: see ``relay.conditions``
        found += [] if stopped else _column_problems(watched)
        if entity.by_triggers:
            stem = f"{entity.id}_embed_{place}" if place else str(entity.id)
            found += [problem for seen in watched.seen for problem in _trigger_problems(stem, watched, seen)]
    return found


def _table_state(watched: WatchedTable) -> dict[str, Any]:
    roots = [seen for seen in watched.seen if seen.root]
    return {
        "oid": roots[0].oid if roots else None,
        "columns": {name: list(column) for name, column in (roots[0].columns or {}).items()} if roots else {},
        "parts": watched.parts,
        "members": {str(seen.oid): [seen.file, seen.attributes, seen.name] for seen in watched.seen},
    }


def _compare(found: Difference, watched: WatchedTable, old: State, new: State, *, own: bool) -> None:
    table = watched.table
    if new["oid"] is None:
        return  # while it is away there is nothing to read; it is another one when it comes back, or the same
    if old["oid"] != new["oid"]:
        if old["oid"] is not None:
            found.whole.append(f"{table} is another table now")
        return
    for name, column in new["columns"].items():
        if name in old["columns"] and old["columns"][name][0] != column[0]:
            found.whole.append(f"{table}.{name} is another column now")
        elif name in old["columns"] and old["columns"][name][1:] != column[1:]:
            found.whole.append(f"{table}.{name} is generated otherwise")
    parts = _changed_parts(old["parts"], new["parts"])
    if parts and old["columns"].keys() == new["columns"].keys():
        found.whole.append(f"a type of {table} has changed ({', '.join(parts)})")
    _compare_members(found, watched, old["members"], new["members"], own=own)


def _changed_parts(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Name labels that read otherwise now, and attributes that came, went or changed. New labels stand nowhere yet."""
    return [
        old.get(part, new.get(part, ""))
        for part in sorted(old.keys() | new.keys())
        if old.get(part) != new.get(part) and (part.startswith("attribute") or (part in old and part in new))
    ]


def _compare_members(found: Difference, watched: WatchedTable, old: State, new: State, *, own: bool) -> None:
    rewritten = [
        oid for oid in old.keys() & new.keys() if all(a != b for a, b in zip(old[oid][:2], new[oid][:2], strict=True))
    ]
    if rewritten:
        found.whole.append(f"{new[rewritten[0]][2]} was rewritten")
    else:
        found.whole += [
            f"{seen.name} may have been truncated"
            for seen in watched.seen
            if seen.pglogical and old.get(str(seen.oid), [seen.file])[0] != seen.file
        ]
    came = [seen for seen in watched.seen if str(seen.oid) not in old and seen.kind == "r"]
    went = [name for oid, (_, _, name) in old.items() if oid not in new]
    if own:
        found.came += came
        found.went += [f"{name} is no part of {watched.table} any more" for name in went]
    elif went or any(not seen.fresh for seen in came):
        found.whole.append(f"{watched.table} has lost or got parts")


def _compare_triggers(found: Difference, entity: WatchedEntity, before: State, now: State) -> None:
    """Note triggers of ours that came, went or were touched on tables that were there before and still are."""
    old, new = before["triggers"], now["triggers"]
    stayed = {oid for table in before["tables"] for oid in table["members"]}
    stayed &= {oid for table in now["tables"] for oid in table["members"]}
    touched = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    touched = [name.partition(" ")[2] for name in touched if name.partition(" ")[0] in stayed]
    if touched and not problems(entity):
        found.whole.append(f"trigger {touched[0]} was off, altered or missing")


def _column_problems(watched: WatchedTable) -> Iterator[str]:
    columns = watched.seen[0].columns or {}
    for name in watched.columns:
        if name not in columns:
            yield f"{watched.table} has no column {name} any more, which its triggers read"
        elif columns[name][1] == "v":
            yield f"{watched.table}.{name} is a virtual generated column, which triggers cannot read"


def _trigger_problems(stem: str, watched: WatchedTable, seen: Seen) -> Iterator[str]:
    """Compare with what `install` would make; a partition's TRUNCATE trigger may come with the next one."""
    triggers = seen.triggers or {}

    def there(suffix: str, role: str, type_: int, *, always: bool = True) -> bool:
        found = triggers.get(f"{current().trigger_prefix}{stem}_{suffix}")
        fits = found and found["type"] == type_ and found["function"] == f"capture_{stem}_{role}"
        return bool(found and fits and found["sound"] and (found["always"] or not always))

    if seen.kind not in "rp":
        yield f"{seen.name} is no table any more"
        return
    lacking = []
    if not there("row", "row", ROW | INSERT | UPDATE | DELETE):
        beside = there("row", "row", ROW | INSERT | UPDATE | DELETE, always=False)
        if _written_by_row(watched) or (seen.pglogical and not beside):
            lacking = ["INSERT", "UPDATE", "DELETE"]
        else:
            roles = {"insert": "statement", "update": "update", "delete": "statement"}
            lacking = [event for suffix, type_, event in _STATEMENTS if not there(suffix, roles[suffix], type_)]
    truncate = there("truncate", "truncate", TRUNCATE)
    if seen.pglogical and f"{current().trigger_prefix}{stem}_truncate" in triggers:
        yield f"pglogical stops at the TRUNCATE trigger of {seen.name}"
    elif not seen.is_partition and not truncate and not seen.pglogical:
        lacking.append("TRUNCATE")
    if lacking:
        by_row = _written_by_row(watched) or seen.pglogical
        how = " row by row" if by_row and lacking != ["TRUNCATE"] else ""
        why = "a trigger is missing, altered or not ENABLE ALWAYS"
        yield f"{', '.join(lacking)} on {seen.name} is not captured{how}: {why}"


def _written_by_row(watched: WatchedTable) -> bool:
    root = watched.seen[0]
    subscribed = any(seen.subscribed for seen in watched.seen)
    return len(watched.seen) > 1 or root.kind == "p" or root.inherits or subscribed
