"""Looking into the bodies of functions and of ``DO``: PL/pgSQL and SQL, as far as their statements stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from syncline.split import grammar
from syncline.split.grammar import GrammarError, Tree

_DYNAMIC = {"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"}
_TARGET = re.compile(r"^[^:=]*:?=")


@dataclass(frozen=True, slots=True)
class Body:
    """What stands in a body."""

    statements: tuple[str, ...] = ()
    """SQL that grammar can read."""
    unseen: tuple[str, ...] = ()
    """What cannot be seen: why, for people."""


def of_block(language: str, text: str) -> Body:
    """Look into a ``DO`` block."""
    if language.lower() != "plpgsql":
        return Body(unseen=(f"a DO block in {language}",))
    mark = "$syncline$"
    return of_function(f"CREATE FUNCTION pg_temp.a_block() RETURNS void LANGUAGE plpgsql AS {mark}{text}{mark}")


def of_function(definition: str) -> Body:
    """Look into a function or procedure, given as ``pg_get_functiondef`` gives it."""
    try:
        (tree,) = grammar.statements(definition)
        function = tree["CreateFunctionStmt"]
        options = {one["DefElem"]["defname"]: one["DefElem"].get("arg", {}) for one in function.get("options", ())}
        language = str(options.get("language", {}).get("String", {}).get("sval", "sql")).lower()
        if language == "plpgsql":
            return _plpgsql(grammar.plpgsql(definition))
        if language == "sql":
            return _sql(definition, function, options)
    except (GrammarError, KeyError, ValueError) as error:
        return Body(unseen=(f"the body cannot be parsed: {error}",))
    name = ".".join(part["String"]["sval"] for part in function["funcname"])
    return Body(unseen=(f"{name} is written in {language}",))


def _sql(definition: str, function: Tree, options: dict[str, Tree]) -> Body:
    if "sql_body" not in function:
        return Body((options["as"]["List"]["items"][0]["String"]["sval"],))
    start = re.search(r"\bBEGIN\s+ATOMIC\b", definition, re.IGNORECASE)
    if start is not None:
        return Body((re.sub(r"\bEND\s*;?\s*$", "", definition[start.end() :], flags=re.IGNORECASE),))
    return Body((re.sub(r"(?is)^.*\bRETURN\b", "SELECT ", definition),))


def _plpgsql(tree: list[Any]) -> Body:
    found, unseen = [], []
    for owner, expression in _expressions(tree, ""):
        text, mode = expression["query"], expression.get("parseMode", 0)
        if owner:
            constant = _constant(text)
            if constant is None:
                unseen.append(f"dynamic SQL: EXECUTE {text}")
            else:
                found.append(constant)
        elif mode == 0:
            found.append(text)
        else:
            found.append("SELECT " + (_TARGET.sub("", text, count=1) if mode > 2 else text))
    return Body(tuple(found), tuple(unseen))


def _expressions(node: Any, within: str) -> Iterator[tuple[bool, Tree]]:
    """Give each expression of the body, and whether it is a text that is run as SQL."""
    if isinstance(node, list):
        for one in node:
            yield from _expressions(one, within)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in ("query", "dynquery") and isinstance(value, dict) and "PLpgSQL_expr" in value:
                yield name == "dynquery" or within in _DYNAMIC, value["PLpgSQL_expr"]
            elif name == "PLpgSQL_expr":
                yield False, value
            else:
                yield from _expressions(value, name if name.startswith("PLpgSQL") else within)


def _constant(expression: str) -> str | None:
    """Read an expression that is nothing but a string."""
    try:
        target = grammar.statements("SELECT " + expression)[0]["SelectStmt"]["targetList"]
        text = target[0]["ResTarget"]["val"]["A_Const"]["sval"]["sval"] if len(target) == 1 else None
    except (GrammarError, KeyError):
        return None
    return text if isinstance(text, str) else None
