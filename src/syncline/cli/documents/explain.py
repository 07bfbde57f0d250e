"""``syncline explain COLLECTION ID`` where documents are the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.pretty import Pretty
from rich.text import Text

from syncline.cli.common import out, print_json, print_table, run, say
from syncline.cli.documents.opening import standing

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.documents.explaining import Explanation


def explain_document(documents: Documents, collection: str, key: str, *, as_json: bool) -> None:
    """Show all that is known of one document, on both sides."""
    found = run(_find(documents, collection, key))
    if as_json:
        print_json(found.as_dict())
        return
    say(f"{collection} {key}", "bold")
    say(found.verdict)
    out.print()
    if found.document is None:
        say("document: a tombstone" if found.deleted else "document: none")
    else:
        out.print(Text("document: "), Pretty(found.document), sep="", markup=False)
    if found.version is not None:
        say(f"  version {found.version}, {f'mark {found.mark}' if found.mark else 'not marked'}")
    if found.there is not None:
        gone = ", deleted" if found.there["deleted"] else ""
        say(f"PostgreSQL has version {found.there['version']} of it{gone}, mark {found.there['mark'] or 'none'}")
    for name, rows in found.rows.items():
        if rows:
            print_table(list(rows[0]), [[*map(_shown, row.values())] for row in rows], title=name)
    if found.differences:
        unlike = [[one["field"], str(one["source"]), str(one["target"])] for one in found.differences]
        print_table(["field", "document", "rows"], unlike, title="different")
    if found.rejected:
        say(f"parked: {found.rejected}", "red")


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


async def _find(documents: Documents, collection: str, key: str) -> Explanation:
    from syncline.documents.explaining import explained

    async with standing(documents.only([collection])) as link:
        return await explained(link, collection, key)
