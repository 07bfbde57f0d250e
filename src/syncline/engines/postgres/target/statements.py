"""The statements of a batch over one table, composed from what its catalog says. Pure.

Values travel as texts, in one array a column, and PostgreSQL's own input functions read them: each type comes back
exactly as its output function wrote it, and no driver has to know it. Every statement is executed with parameters, if
only with an empty list: percent signs of names are doubled for the driver.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from syncline.engines.postgres.projection_sql import named, table_of, type_of
from syncline.engines.postgres.target.tables import Column, Reference, Table, Unique

PARSED = frozenset(
    {
        "smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean", "text", "uuid", "date",
        "timestamp without time zone", "timestamp with time zone",
    }
)  # fmt: skip
"""Types whose values an array of theirs reads as it would read each alone: a text less to be made of every value."""


def _names(names: Sequence[str], of: str = "") -> sql.Composed:
    return sql.SQL(", ").join([named(of, name) if of else named(name) for name in names])


def _arrays(columns: Sequence[Column], called: str = "u") -> sql.Composed:
    """``unnest(…) AS u (column, …)``: the parameters are one array a column."""
    arrays = sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(columns))
    names = _names([column.name for column in columns])
    return sql.SQL("unnest({}) AS {} ({})").format(arrays, named(called), names)


def _rows(columns: Sequence[Column]) -> sql.Composed:
    """Like ``_arrays``, for values that the statement takes as ``_taken`` and uses as nothing else."""
    arrays = [sql.SQL("%s::{}[]").format(type_of(one.type if one.type in PARSED else "text")) for one in columns]
    return sql.SQL("unnest({}) AS u ({})").format(sql.SQL(", ").join(arrays), _names([one.name for one in columns]))


def _taken(column: Column) -> sql.Composable:
    return named("u", column.name) if column.type in PARSED else _value(column)


def _value(column: Column, of: str = "u") -> sql.Composed:
    # The type's name comes from format_type, which quotes it.
    return sql.SQL("{}::{}").format(named(of, column.name), type_of(column.type))


def _same(columns: Sequence[Column], left: str = "t", right: str = "u") -> sql.Composed:
    pairs = [sql.SQL("{} = {}").format(named(left, column.name), _value(column, right)) for column in columns]
    return sql.SQL(" AND ").join(pairs)


def upsert(table: Table, names: Sequence[str]) -> sql.Composed:
    """Insert rows, or make those that are there equal to them. Parameters: an array of texts a written column."""
    columns = table.written(names)
    changed = [column.name for column in columns if column.name not in table.key and not column.always]
    update = sql.SQL(", ").join([sql.SQL("{} = {}").format(named(name), named("excluded", name)) for name in changed])
    then = sql.SQL("DO UPDATE SET {}").format(update) if changed else sql.SQL("DO NOTHING")
    return sql.SQL(
        "/* syncline */ INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT ({}) {}"
    ).format(
        table_of(table.name),
        _names([column.name for column in columns]),
        sql.SQL(", ").join([_taken(column) for column in columns]),
        _rows(columns),
        _names(table.key),
        then,
    )


def _key_columns(table: Table) -> tuple[Column, ...]:
    return tuple(table.column(name) for name in table.key)


def delete(table: Table) -> sql.Composed:
    """Delete rows. Parameters: an array of texts for each column of the key."""
    key = _key_columns(table)
    same = [sql.SQL("{} = {}").format(named("t", column.name), _taken(column)) for column in key]
    return sql.SQL("/* syncline */ DELETE FROM {} AS t USING {} WHERE {}").format(
        table_of(table.name), _rows(key), sql.SQL(" AND ").join(same)
    )


def lock(table: Table) -> sql.Composed:
    """Lock rows: nobody refers to one of them any more before this transaction ends. Parameters: as of ``delete``."""
    key = _key_columns(table)
    return sql.SQL("/* syncline */ SELECT FROM {} AS t JOIN {} ON {} FOR UPDATE OF t").format(
        table_of(table.name), _arrays(key), _same(key)
    )


def clear(table: Table, unique: Unique) -> sql.Composed | None:
    """Take a unique value from rows, until they are written anew; ``None``: nothing can stand in its place.

    Parameters: as of ``delete``. A row that nothing refers to is simply taken away.
    """
    columns = [table.column(name) for name in unique.columns if name not in table.key]
    free = next((column for column in columns if not column.not_null), None)
    key = _key_columns(table)
    if free is not None:
        value: sql.Composable = sql.SQL("NULL")
    elif not table.children:
        return delete(table)
    elif (free := next((column for column in columns if column.textual), None)) is not None:
        value = sql.SQL("'syncline ' || {}").format(named("t", table.key[0]))
    elif (free := next((column for column in columns if column.numeric), None)) is not None:
        value = sql.SQL("-1 - pg_catalog.abs({})").format(named("t", free.name))
    else:
        return None
    return sql.SQL("/* syncline */ UPDATE {} AS t SET {} = {} FROM {} WHERE {}").format(
        table_of(table.name), named(free.name), value, _arrays(key), _same(key)
    )


def let_go(table: Table) -> sql.Composed | None:
    """Take references from rows that are to be deleted; ``None``: all are NOT NULL. Parameters: as of ``delete``."""
    names = dict.fromkeys(name for one in table.parents for name in one.columns if name not in table.key)
    free = [name for name in names if not (table.column(name).not_null or table.column(name).generated)]
    if not free:
        return None
    key = _key_columns(table)
    return sql.SQL("/* syncline */ UPDATE {} AS t SET {} FROM {} WHERE {}").format(
        table_of(table.name),
        sql.SQL(", ").join([sql.SQL("{} = NULL").format(named(name)) for name in free]),
        _arrays(key),
        _same(key),
    )


def holders(table: Table, unique: Unique, names: Sequence[str]) -> sql.Composed:
    """Find rows whose unique value another row has: number of the row (from 1), key of the other one as texts.

    Parameters: as of ``upsert``.
    """
    columns = table.written(names)
    over = [table.column(name) for name in unique.columns]
    other = sql.SQL(" OR ").join(
        [
            sql.SQL("{} IS DISTINCT FROM {}").format(named("t", column.name), _value(column))
            for column in _key_columns(table)
        ]
    )
    return sql.SQL("SELECT u.syncline_row, ARRAY[{}] FROM {} JOIN {} AS t ON {} WHERE {}").format(
        sql.SQL(", ").join([as_text("t", name) for name in table.key]),
        _numbered(columns),
        table_of(table.name),
        _same(over),
        other,
    )


def as_text(of: str, name: str) -> sql.Composed:
    return sql.SQL("{}::text").format(named(of, name))


def _written(of: str, name: str) -> sql.Composed:
    """As the type's output function writes it; a cast may write something else."""
    return sql.SQL("pg_catalog.format('%%s', {})").format(named(of, name))


def _numbered(columns: Sequence[Column]) -> sql.Composed:
    arrays = sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(columns))
    names = _names([column.name for column in columns])
    return sql.SQL("unnest({}) WITH ORDINALITY AS u ({}, syncline_row)").format(arrays, names)


def orphans(table: Table, reference: Reference, names: Sequence[str], *, coming: Sequence[Column] = ()) -> sql.Composed:
    """Find rows whose parent is missing: number of the row (from 1), what it refers to as texts, as keys have them.

    Parameters: as of ``upsert``; with ``coming``, the columns that are referred to, those of parents that come along.
    """
    columns = table.written(names)
    mine = [table.column(name) for name in reference.columns]
    there = sql.SQL(" AND ").join(
        [
            sql.SQL("{} = {}").format(named("p", parent), _value(column))
            for parent, column in zip(reference.referenced, mine, strict=True)
        ]
    )
    known = sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(named("u", c.name)) for c in mine])
    keys = [
        sql.SQL("{}::{}::text").format(_value(column), type_of(type_))
        for column, type_ in zip(mine, reference.types, strict=True)
    ]
    pairs = zip(coming, mine, strict=True) if coming else ()
    same = [sql.SQL("{} = {}").format(_value(parent, "g"), _value(column)) for parent, column in pairs]
    along = sql.SQL(" AND NOT EXISTS (SELECT FROM {} WHERE {})").format(
        _arrays(coming, "g") if coming else sql.SQL(""), sql.SQL(" AND ").join(same)
    )
    return sql.SQL(
        "SELECT u.syncline_row, ARRAY[{}] FROM {} WHERE {} AND NOT EXISTS (SELECT FROM {} AS p WHERE {}){}"
    ).format(
        sql.SQL(", ").join(keys),
        _numbered(columns),
        known,
        table_of(reference.parent),
        there,
        along if coming else sql.SQL(""),
    )


def children(
    table: Table, reference: Reference, child_key: Sequence[str], *, but: Sequence[Column] = ()
) -> sql.Composed:
    """Find rows that something refers to: number of the row (from 1), key of one that does, what it refers by as it is.

    The key as keys have it, the other columns as their output functions write them, which rows are read by.
    Parameters: as of ``delete``; with ``but``, the columns of the children's key, those of children that do not count.
    """
    key = _key_columns(table)
    refers = sql.SQL(" AND ").join(
        [
            sql.SQL("{} = {}").format(named("c", mine), named("t", parent))
            for mine, parent in zip(reference.columns, reference.referenced, strict=True)
        ]
    )
    others = sql.SQL(" WHERE NOT EXISTS (SELECT FROM {} WHERE {})").format(_arrays(but, "g"), _same(but, "c", "g"))
    return sql.SQL(
        "SELECT DISTINCT ON (u.syncline_row) u.syncline_row, ARRAY[{}], ARRAY[{}]"
        " FROM {} JOIN {} AS t ON {} JOIN {} AS c ON {}{}"
    ).format(
        sql.SQL(", ").join([as_text("c", name) for name in child_key]),
        sql.SQL(", ").join([_written("c", name) for name in reference.columns]),
        _numbered(key),
        table_of(table.name),
        _same(key),
        table_of(reference.child),
        refers,
        others if but else sql.SQL(""),
    )


def page(table: Table, *, after: bool, until: bool = False, offset: bool = False) -> sql.Composed:
    """Read keys in their order, as texts.

    Parameters: the key to start after (``after``) and the last one (``until``), as texts; the limit; how many are left
    out before them (``offset``).
    """
    key = _key_columns(table)
    names = _names([column.name for column in key], "t")
    bound = sql.SQL(", ").join([sql.SQL("%s::text::{}").format(type_of(column.type)) for column in key])
    conditions = [
        sql.SQL("({}) {} ({})").format(names, sql.SQL(compared), bound)
        for compared, given in ((">", after), ("<=", until))
        if given
    ]
    where = sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")
    return sql.SQL("SELECT {} FROM {} AS t{} ORDER BY {} LIMIT %s{}").format(
        sql.SQL(", ").join([as_text("t", column.name) for column in key]),
        table_of(table.name),
        where,
        names,
        sql.SQL(" OFFSET %s" if offset else ""),
    )


def size(table: Table) -> sql.Composed:
    """Tell about how many rows there are; of a table that was never analysed how many."""
    name = table_of(table.name)
    return sql.SQL(
        "SELECT CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint ELSE (SELECT count(*) FROM {}) END "
        "FROM pg_catalog.pg_class AS c WHERE c.oid = {}::regclass"
    ).format(name, sql.Literal(name.as_string()))


def any_row(table: Table) -> sql.Composed:
    """Tell whether there is a row."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table_of(table.name))


def read(table: Table, names: Sequence[str], *, more: sql.Composable | None = None) -> sql.Composed:
    """Read rows by key, as the output functions write them. Parameters: as of ``delete``."""
    items = sql.SQL(", ").join([_names(list(names), "t"), *([more] if more else [])])
    return sql.SQL("SELECT {} FROM {} AS t{}").format(items, table_of(table.name), join_keys(table))


def join_keys(table: Table) -> sql.Composed:
    """Choose the rows of keys. Parameters: as of ``delete``."""
    key = _key_columns(table)
    return sql.SQL(" JOIN {} ON {}").format(_arrays(key), _same(key))


def one_value(table: Table) -> sql.Composed:
    """Read one column's text as the table's row type does. Parameters: the column's name, the text."""
    return sql.SQL(
        "SELECT pg_catalog.json_populate_record(NULL::{}, pg_catalog.json_build_object(%s::text, %s::text))"
    ).format(table_of(table.name))
