"""The states of the model of documents, for the search."""

from __future__ import annotations

from tests.model.documents import carriers, repair, writers
from tests.model.documents.scope import Action, DocumentScope
from tests.model.documents.state import Budget, State
from tests.model.search import Result, search


class DocumentWorld:
    """A scope, as something to search."""

    def __init__(self, scope: DocumentScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """Nothing is there."""
        scope = self._scope
        budget = Budget(
            scope.writes,
            scope.foreign,
            scope.purges,
            int(bool(scope.restore)),
            scope.skew,
            scope.lost_tokens,
            scope.deaths,
        )
        return State(None, None, 0, (), 0, "", 0, (), budget)

    def normal(self, state: State) -> State:
        """Marks are only equal or not, and carriers have no names; what was broken was seen."""
        names: dict[int, int] = {0: 0}

        def named(mark: int) -> int:
            return names.setdefault(mark, len(names))

        document, row, backup = state.document, state.row, state.backup
        if document is not None:
            document = document._replace(mark=named(document.mark))
        if row is not None:
            row = row._replace(mark=named(row.mark))
        if backup and backup[0] is not None:
            backup = (backup[0]._replace(mark=named(backup[0].mark)),)
        known = len(names)
        ordered = sorted(state.carriers, key=lambda each: (each._replace(mark=names.get(each.mark, known)), each.mark))
        under_way = tuple(sorted(each._replace(mark=named(each.mark)) for each in ordered))
        return state._replace(
            document=document, row=row, backup=backup, carriers=under_way, drawn=len(names) - 1, broken=""
        )

    def steps(self, state: State) -> Action:
        """Let everybody do whatever may come next."""
        for actions in (
            writers.application,
            writers.process,
            writers.foreign,
            writers.reader,
            carriers.relay,
            carriers.copier,
            carriers.carriers,
        ):
            yield from actions(self._scope, state)
        for actions in (repair.verify, repair.restores, repair.purge, repair.clocks):
            yield from actions(self._scope, state)

    def at_rest(self, state: State) -> bool:
        """Nothing is left to do."""
        return writers.still(state)

    def violation(self, _: State, after: State) -> str:
        """Say what a step has broken."""
        if after.broken:
            return after.broken
        noted = after.document.noted if after.document else ()
        if lost := {*after.owed} - {*after.logged} - {*noted}:
            return f"neither the log nor the document has write {min(lost)}"
        if not writers.still(after):
            return ""
        if missing := {*after.owed} - {*after.logged}:
            return f"nothing is left to do, and the log has no write {min(missing)}"
        here = after.document.content if after.document and not after.document.deleted else 0
        there = after.row.content if after.row and not after.row.deleted else 0
        sides = [f"write {each}" if each else "nothing" for each in (here, there)]
        return "" if here == there else f"nothing is left to do: MongoDB has {sides[0]}, PostgreSQL {sides[1]}"

    def is_fault(self, before: State, after: State) -> bool:
        """Tell whether something went wrong in a step."""
        return after.budget.restores != before.budget.restores or after.budget.tokens != before.budget.tokens


def explore(scope: DocumentScope) -> Result:
    """Visit every state that can be reached."""
    return search(DocumentWorld(scope), scope)
