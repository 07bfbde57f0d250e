"""Everything that is known of one record, on both sides and on the way between them, and a sentence that sums it up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg import sql

from syncline.errors import NotInstalledError, SourceError, SynclineError
from syncline.insight import reach
from syncline.insight.status import plain
from syncline.model.entity import DOCUMENTS, ROWS, Entity, Shape, TableName
from syncline.model.json_names import Verbatim
from syncline.model.mapping import Projection
from syncline.model.mark import MAX_BATCH, epoch_of
from syncline.model.projections import projection_of, served
from syncline.narrowing import is_of_records
from syncline.ports import Document, Target
from syncline.postgres.catalog import read_shape
from syncline.postgres.connection import Connection
from syncline.postgres.path import pin_path

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one record."""

    entity: str
    key: str
    table: str
    collection: str
    row: Mapping[str, Any] | None
    """The source's row as JSON, numbers that a float would round as text; ``None`` when there is none."""
    included: bool
    """The row meets the entity's ``where``."""
    pending: Rows
    deferred: Rows
    parked: Mapping[str, Any] | None
    history: Rows
    lane: Mapping[str, Any]
    document: Document | None
    """What the target has: a document, or a row with the texts of its values."""
    target_error: str | None = None
    tasks: Rows = ()
    """The entity's backfill and sweep that are not finished, the oldest of each kind."""
    equal: bool | None = None
    """Both sides say the same; ``None``: it was not compared, or could not be."""
    differences: Sequence[Mapping[str, Any]] = ()
    """Fields that differ, as in a report of ``syncline verify``."""
    not_compared: str | None = None
    """Why contents could not be compared."""
    form: str = DOCUMENTS
    """What the target's records are: ``documents`` or ``rows``."""

    @property
    def record(self) -> str:
        """How a record of the target is called."""
        return "target row" if self.form == ROWS else "document"

    @property
    def ticket(self) -> Mapping[str, int] | None:
        """The document's ticket, decoded; ``None`` without one of ours."""
        version = (self.document or {}).get("_v")
        if not isinstance(version, int) or version < 0:
            return None
        return {"epoch": epoch_of(version), "batch": version & MAX_BATCH}

    @property
    def verdict(self) -> str:
        """Sum it up in a sentence that says what to do."""
        return _waiting(self) or _settled(self)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        names = (
            "entity", "key", "table", "collection", "row", "included", "pending", "deferred", "parked", "history",
            "lane", "ticket", "target_error", "tasks", "equal", "not_compared", "verdict",
        )  # fmt: skip
        found: dict[str, Any] = plain({name: getattr(self, name) for name in names})
        row, document = (None if side is None else Verbatim(side) for side in (found["row"], self.document))
        return found | {"row": row, "document": document, "differences": list(self.differences)}


async def explain(
    connection: Connection, target: Target | None, entity: Entity, key: str, *, events: int = 10
) -> Explanation:
    """Gather what is known of one record.

    Args:
        connection: to the source.
        target: ``None`` leaves the target out.
        entity: as declared.
        key: as an operator types it: ``5``, ``1,x`` or ``["1", "x"]``.
        events: how many of the newest events of its history.

    Raises:
        KeyFormatError: this cannot be a key of the entity.
        NotInstalledError: the entity is declared, but not installed.

    """
    await pin_path(connection)
    projection = await _projection(connection, entity)
    text = projection.codec.parse_operator(key)
    known = [row for row in await reach.rows(connection, "entities") if row["name"] == entity.name]
    if not known:
        raise NotInstalledError(f"the entity {entity.name!r} is not installed yet", hint="run: syncline install")
    of_key = {"entity": known[0]["id"], "key": text}
    row, included = await _row(connection, projection, text)
    parked = await reach.rows(connection, "parked_entry", **of_key)
    document, error = await _document(target, served(projection), projection.codec.document_id(text))
    return Explanation(
        entity=entity.name,
        key=text,
        table=str(entity.table),
        collection=entity.collection,
        row=row,
        included=included,
        pending=await reach.rows(connection, "pending", name=entity.name, **of_key),
        deferred=await reach.rows(connection, "deferred", **of_key),
        parked=parked[0] if parked else None,
        history=await reach.rows(connection, "newest_events", name=entity.name, limit=events, **of_key),
        lane=await reach.one(connection, "lane_of_key", **of_key),
        document=document,
        target_error=error,
        tasks=await reach.rows(connection, "tasks_of_entity", entity=known[0]["id"]),
        form=entity.form,
    )


async def _projection(connection: Connection, entity: Entity) -> Projection:
    children: dict[TableName, Shape] = {e.table: await read_shape(connection, e.table) for e in entity.embeds}
    return projection_of(entity, await read_shape(connection, entity.table), children)


async def _row(connection: Connection, projection: Projection, key: str) -> tuple[Mapping[str, Any] | None, bool]:
    """Read the row as JSON, and whether the filter lets it pass.

    Where the filter fails at this row it is taken for included, and of a row that cannot be read the key is shown; why
    it cannot be read is said where contents are compared.
    """
    codec = projection.codec
    for where in (projection.entity.where, None):
        try:
            found = await reach.query(connection, _row_query(projection, key, "to_jsonb(_syncline_row.*)", where))
        except SourceError as error:
            if not is_of_records(error):
                raise
        else:
            return (json.loads(found[0]["row"], parse_float=_exact), found[0]["included"]) if found else (None, False)
    there = await reach.query(connection, _row_query(projection, key, "NULL", None))
    return (dict(zip(codec.names, codec.parse(key), strict=True)) if there else None), bool(there)


def _row_query(projection: Projection, key: str, expression: str, where: str | None) -> sql.Composed:
    entity, codec = projection.entity, projection.codec
    parts = [
        sql.SQL("_syncline_row.{} = {}::{}").format(sql.Identifier(column.name), sql.Literal(text), _raw(type_.sql))
        for column, type_, text in zip(codec.columns, codec.types, codec.parse(key), strict=True)
    ]
    table = sql.Identifier(entity.table.schema, entity.table.name)
    # A bare alias would give way to a column of that name; `alias.*` is the row whatever its columns are called.
    return sql.SQL(
        "/* syncline */ SELECT ({row})::text AS row, EXISTS (SELECT FROM {table} WHERE ctid = "
        "_syncline_row.ctid AND tableoid = _syncline_row.tableoid AND ({where})) AS included "
        "FROM {table} AS _syncline_row WHERE {condition}"
    ).format(
        row=_raw(expression), table=table, where=_raw(f"{where or 'true'}\n"), condition=sql.SQL(" AND ").join(parts)
    )


def _exact(text: str) -> float | str:
    """Read a number; as text what a float would round."""
    number = float(text)
    return number if Decimal(repr(number)) == Decimal(text) else text


def _raw(text: str) -> sql.SQL:
    """Take SQL from the configuration or the catalog as it stands."""
    return sql.SQL(text)


async def _document(target: Target | None, entity: Entity, document_id: Any) -> tuple[Document | None, str | None]:
    if target is None:
        return None, "the target was left out"
    try:
        found = await target.read(entity, [document_id])
    except SynclineError as error:
        return None, error.message
    return (found[0] if found else None), None


def _waiting(e: Explanation) -> str | None:
    """Say what it waits for, if for anything."""
    if e.parked:
        return (
            f"Parked after {_tries(e.parked['retry_count'])}, last at {e.parked['tried_at']:%Y-%m-%d %H:%M:%S}: "
            f"{e.parked['code']}: {e.parked['error']}. Correct the record (its next change is tried by itself) or the "
            f"mapping, then `syncline parked retry {e.entity} {e.key}`."
        )
    if e.pending and not e.lane["owner"]:
        return f"{_changes(e)} waiting, and no worker owns lane {e.lane['lane']}: start `syncline worker`."
    if e.pending:
        return f"{_changes(e)} waiting; worker {e.lane['owner']} owns lane {e.lane['lane']} and will apply it."
    if e.target_error:
        return f"Nothing is waiting; the target could not be read: {e.target_error}."
    return None


def _tries(count: int) -> str:
    return "1 try" if count == 1 else f"{count} tries"


def _changes(e: Explanation) -> str:
    since = f"captured {e.pending[0]['at']:%Y-%m-%d %H:%M:%S} UTC"
    return f"A change ({since}) is" if len(e.pending) == 1 else f"{len(e.pending)} changes (the first {since}) are"


def _settled(e: Explanation) -> str:
    """Say how the two sides compare when nothing is on its way."""
    present, document = e.row is not None and e.included, e.document is not None
    filtered = "The row is outside of the entity's filter" if e.row is not None else "There is no such row"
    again = f" (the delete is done once more at {e.deferred[0]['due']:%H:%M:%S} UTC)" if e.deferred else ""
    if present and document:
        return _both(e)
    to_come = _task(e, "backfill" if present else "sweep")
    if to_come and present:
        return f"The row is there, its {e.record} is missing, and {to_come}."
    if to_come and document:
        return f"{filtered}, its {e.record} is still there, and {to_come}."
    if present and e.not_compared:
        return f"The row is there, its {e.record} is missing; contents could not be compared: {e.not_compared}."
    if present:
        return (
            f"The row is there, its {e.record} is missing and nothing is waiting: never backfilled, or a divergence. "
            "`syncline backfill` or `syncline repair` writes it."
        )
    if document:
        return f"{filtered}, its {e.record} is still there and nothing is waiting{again}: `syncline repair` removes it."
    return f"{filtered} and no {e.record}: both sides agree{again}."


def _both(e: Explanation) -> str:
    """Say how row and document compare."""
    repair = f"`syncline repair {e.entity}`"
    if e.ticket is None and e.form == DOCUMENTS:
        return f"The {e.record} carries no ticket of ours: somebody else wrote it. {repair} replaces it."
    if e.equal:
        return f"Nothing is waiting: the {e.record} is equal to the row."
    if e.differences:
        fields = reach.names([one["field"] for one in e.differences])
        return f"Nothing is waiting, and the {e.record} differs from the row in {fields}: {repair} makes it equal."
    if e.not_compared:
        return f"Nothing is waiting; contents could not be compared: {e.not_compared}."
    if e.equal is False:
        never = f"Nothing is waiting, and the {e.record}'s ticket was never issued"
        return f"{never}: somebody wrote it. {repair} replaces it."
    if to_come := _task(e, "backfill") or _task(e, "sweep"):
        return f"Row and {e.record} are not equal yet: {to_come}."
    return (
        f"Nothing is waiting: the {e.record} is the row's, as far as marks tell; `syncline verify` compares contents."
    )


def _task(e: Explanation, kind: str) -> str | None:
    """Say that a task will mark the record; ``None``: there is none."""
    for task in e.tasks:
        if task["kind"] == kind:
            what = f"a {kind} of {e.entity}"
            return f"{what} is under way" if task["running"] else f"{what} is waiting for a worker (`syncline worker`)"
    return None
