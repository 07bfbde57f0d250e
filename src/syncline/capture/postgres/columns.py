"""Which columns an installation takes note of: those that come later are new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.plan import Wanted
from syncline.journal.registry import InstalledEntity
from syncline.model.new_columns import OWN
from syncline.postgres.sql import ours


def policies(installed: InstalledEntity | None) -> dict[str, str]:
    """Read from a definition what each section did with new columns."""
    if installed is None:
        return {}
    found = {OWN: installed.definition.get("fields", {})}
    found |= {embed["field"]: embed.get("fields", {}) for embed in installed.definition.get("embeds", ())}
    return {place: fields.get("new_columns", "sync") for place, fields in found.items()}


def plan_columns(plan: InstallPlan, wanted: Sequence[Wanted], present: Mapping[str, InstalledEntity]) -> None:
    """Add the statements that take note, and say what still has to be decided."""
    for one in wanted:
        old = present.get(one.entity.name)
        for new in one.newcomers:
            if new.policy != "sync" or new.renamed:
                plan.warnings.append(new.sentence)
        known = None if old is None else old.known_columns
        if known is not None and not _anything_new(one.columns, known):
            continue
        names = [name for new in one.newcomers if new.policy == "sync" for name in new.columns]
        what = f"new columns: {', '.join(names)}" if names else "columns that were renamed, made again or decided on"
        plan.say(None if known is None else f"{one.entity.name}: take note of {what}")
        (plan.statements if plan.one_by_one else plan.rows).append(_record(one.id, one.columns))


def _anything_new(noted: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Tell whether there is something to take note of; columns that are gone do no harm."""
    for place, table in noted.items():
        before = known.get(place, {"oid": None, "columns": {}})
        if table["oid"] != before["oid"] or not table["columns"].items() <= before["columns"].items():
            return True
    return False


def _record(id_: int, columns: Mapping[str, Any]) -> sql.Composed:
    query = ours("/* syncline */ UPDATE syncline.entity SET known_columns = {} WHERE id = {}")
    return sql.SQL(query).format(sql.Literal(Jsonb(columns)), sql.Literal(id_))
