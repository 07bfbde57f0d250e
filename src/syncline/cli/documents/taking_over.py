"""``syncline adopt`` and ``syncline uninstall`` where documents are the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncline.cli.boundary import invocation
from syncline.cli.common import confirm, print_json, run, say

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.documents.taking_over import Ownership


def adopt_rows(documents: Documents, *, restored: bool, yes: bool, as_json: bool) -> None:
    """Take over rows of another MongoDB's documents, or begin anew after a restore of either side."""
    invocation.get().resume = "`syncline adopt` may be called again"
    run(_adopt(documents, restored=restored, yes=yes, as_json=as_json))


async def _adopt(documents: Documents, *, restored: bool, yes: bool, as_json: bool) -> None:
    from syncline.documents.opening import opened
    from syncline.documents.taking_over import adopt, ownership

    async with opened(documents) as link:
        owner = await ownership(link)
        anew = restored or not owner.settled
        if anew:
            if not as_json:
                say(_described(owner))
            confirm("Write every document anew, and delete rows of which this MongoDB has no document?", yes=yes)
            await adopt(link)
    if as_json:
        print_json({"adopted": anew, "from": owner.found})
    elif not anew:
        say("the rows are of this MongoDB's documents already: nothing to take over")
        say("if a side was restored: `syncline adopt --restored` writes every document anew")
    else:
        say("taken over; the worker writes every document anew", "green")


def _described(owner: Ownership) -> str:
    if owner.settled:
        return "a side was restored"
    if owner.elsewhere:
        return "the documents of this MongoDB go to another PostgreSQL: stop its workers first"
    return "the rows are of another MongoDB's documents" if owner.found else "nobody has said whose rows these are"


def uninstall_documents(documents: Documents, *, as_sql: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Take away what an installation has made."""
    invocation.get().resume = "`syncline uninstall` goes on from here"
    run(_uninstall(documents, as_sql=as_sql, dry_run=dry_run, yes=yes, as_json=as_json))


async def _uninstall(documents: Documents, *, as_sql: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    from syncline.documents.opening import opened
    from syncline.documents.taking_over import removal, uninstall
    from syncline.phases.leaving import leave, leftovers

    if as_sql:
        say("DROP SCHEMA IF EXISTS syncline_documents CASCADE;")
        say("-- Gates and the way back of collections that have been live are removed by `syncline uninstall`.")
        say("-- MongoDB's part is done by `syncline uninstall`.")
        return
    async with opened(documents) as link:
        wanted, left = await removal(link), await leftovers(documents, link)
        changes = [*left.summary, *wanted.summary]
        if not as_json:
            for line in changes:
                say(f"  {line}")
        if not dry_run:
            confirm("Remove all of this? What is marked and not written yet is forgotten.", yes=yes)
            wanted.require_idle()
            await leave(documents, link, left)
            await uninstall(link, wanted)
    if as_json:
        print_json({"uninstalled": not dry_run, "changes": changes, "waiting": []})
    elif not dry_run:
        say("uninstalled; rows and documents stay", "green")
