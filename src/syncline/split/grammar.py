"""PostgreSQL's own grammar (libpg_query, through postgast), as trees of plain dictionaries.

The JSON form is taken rather than postgast's messages: it is decoded in a third of the time, and messages nested deeper
than protobuf's limit are refused, which fifty operands in one expression reach.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from syncline.errors import ConfigError

try:
    from postgast.errors import PgQueryError, check_error
    from postgast.native import lib
except ImportError:  # pragma: no cover  named where it is needed
    raise ConfigError("postgast is not installed", hint="pip install 'syncline[split]'") from None

Tree = dict[str, Any]
_PROMISES = re.compile(r"(?:,\{\}\})+")


class GrammarError(ValueError):
    """The text is no SQL that PostgreSQL's grammar knows."""


def statements(sql: str) -> list[Tree]:
    """Parse a text; give each statement's tree, as ``{"SelectStmt": {…}}``.

    Raises:
        GrammarError: it says what the grammar says.

    """
    found = lib.pg_query_parse(_bytes(sql))
    try:
        check_error(found)
        return [raw["stmt"] for raw in orjson.loads(found.parse_tree)["stmts"] if "stmt" in raw]
    except PgQueryError as error:
        raise GrammarError(error.message) from None
    except orjson.JSONDecodeError:
        raise GrammarError("the statement is nested too deeply to be looked into") from None
    finally:
        lib.pg_query_free_parse_result(found)


def texts(sql: str) -> list[str]:
    """Take a text apart into its statements.

    Raises:
        GrammarError: it says what the grammar says.

    """
    encoded = _bytes(sql)
    found = lib.pg_query_parse(encoded)
    try:
        check_error(found)
        raws = orjson.loads(found.parse_tree)["stmts"]
    except PgQueryError as error:
        raise GrammarError(error.message) from None
    except orjson.JSONDecodeError:
        raise GrammarError("a statement is nested too deeply to be looked into") from None
    finally:
        lib.pg_query_free_parse_result(found)
    ends = ((raw.get("stmt_location", 0), raw.get("stmt_len", len(encoded))) for raw in raws)
    return [encoded[start : start + length].decode().strip() for start, length in ends]


def fingerprint(sql: str) -> str:
    """Give sixteen characters that are the same for statements of the same structure, whatever their values.

    Raises:
        GrammarError: it says what the grammar says.

    """
    found = lib.pg_query_fingerprint(_bytes(sql))
    try:
        check_error(found)
        return str(found.fingerprint_str.decode("utf-8"))
    except PgQueryError as error:
        raise GrammarError(error.message) from None
    finally:
        lib.pg_query_free_fingerprint_result(found)


def plpgsql(definition: str) -> list[Any]:
    """Parse a ``CREATE FUNCTION … LANGUAGE plpgsql``; give the tree of its body.

    Raises:
        GrammarError: it says what PL/pgSQL's grammar says.

    """
    found = lib.pg_query_parse_plpgsql(_bytes(definition))
    try:
        check_error(found)
        text = (found.plpgsql_funcs or b"[]").decode("utf-8")
        try:
            return list(orjson.loads(text))
        except (
            orjson.JSONDecodeError
        ):  # of a trigger's own variables (TG_OP, …) libpg_query prints a closing brace too many
            return list(orjson.loads(_PROMISES.sub("", text, count=1)))
    except PgQueryError as error:
        raise GrammarError(error.message) from None
    except orjson.JSONDecodeError:
        raise GrammarError("the body cannot be looked into") from None
    finally:
        lib.pg_query_free_plpgsql_parse_result(found)


def _bytes(text: str) -> bytes:
    if "\0" in text:
        raise GrammarError("a NUL character")  # the library would read up to it
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise GrammarError("a lone surrogate, which is no character") from None
