"""Verification, restores, the purge of what is deleted, and a clock that is set back."""

from __future__ import annotations

from tests.model.documents.carriers import drawn, fresh
from tests.model.documents.scope import Action, DocumentScope
from tests.model.documents.state import NO_FIELD, Carrier, Document, State


def verify(scope: DocumentScope, state: State) -> Action:
    """Mark what differs; after a restore, everything. It looks again at what was under way."""
    due = state.duty == "marks" or state.tampered == 1 or (state.tampered and not state.carriers)
    if not due:
        return
    ended = state._replace(tampered=2 if state.carriers and state.tampered else 0, duty="")
    document, row = state.document, state.row
    made, mark = fresh(scope, ended, document)
    if document is not None and (scope.renews or document.v == NO_FIELD):
        new = document._replace(v=drawn(scope, state, document.v), mark=mark)
        yield ("verification marks v{}", new.v), made._replace(document=new)
    elif document is not None:
        again = document._replace(mark=document.mark or mark)
        yield ("verification marks v{} again", document.v), made._replace(document=again)
    elif row is None or row.deleted:
        yield ("verification finds nothing on both sides",), ended
    elif scope.sweep == "tombstone":
        new = Document(drawn(scope, state, row.v), mark, True, state.done)
        yield ("verification inserts the tombstone v{}", new.v), made._replace(document=new)
    else:
        will = Carrier("sweep", state.link, 0, row.v, True, state.done)
        yield (
            ("verification will delete the row v{}", row.v),
            ended._replace(carriers=(*state.carriers, will), tampered=2),
        )


def restores(scope: DocumentScope, state: State) -> Action:
    """Restore one side to a backup; it is noticed, the link gets a new number, and everything is marked."""
    if state.duty == "number":
        link = state.link + 1 if scope.fence else state.link
        yield ("the restore is noticed",), state._replace(link=link, duty="marks")
    if not state.budget.restores:
        return
    if state.backup is None:
        side = state.document if scope.restore == "mongo" else state.row
        yield ("a backup of {}", scope.restore), state._replace(backup=(side,))
        return
    spent = state._replace(budget=state.budget._replace(restores=0), duty="number", backup=None)
    if scope.restore == "mongo":
        # What the reader has not been given is of the other past: its token is not accepted any more.
        yield ("MONGODB IS RESTORED",), spent._replace(document=state.backup[0], events=())
    else:
        yield ("POSTGRESQL IS RESTORED",), spent._replace(row=state.backup[0])


def purge(scope: DocumentScope, state: State) -> Action:
    """Drop what PostgreSQL keeps of a deleted key."""
    row = state.row
    if not state.budget.purges or row is None or not row.deleted:
        return
    if state.document is not None and scope.purge != "present":
        return
    link = state.link if scope.purge == "plain" else state.link + 1
    spent = state.budget._replace(purges=state.budget.purges - 1)
    yield ("PostgreSQL forgets what is deleted",), state._replace(row=None, link=link, budget=spent)


def clocks(scope: DocumentScope, state: State) -> Action:
    """Set the clock of MongoDB's server back."""
    if state.budget.skew and state.done:
        back = state.budget._replace(skew=state.budget.skew - 1)
        yield ("the clock of MongoDB's server is set back",), state._replace(budget=back)
