"""A document whose ticket nobody issued is found although its contents are equal, whatever its ticket is."""

from __future__ import annotations

from tests.damage.harm import FORGED, forge
from tests.pairs import entity, kinds, paired

ITEMS = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"


async def test_no_forged_ticket_passes(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("item")]) as pair:
        pair.sql(f"INSERT INTO item SELECT i, 'a' FROM generate_series(0, {len(FORGED)}) AS i")
        await pair.drain()
        for place, (ticket, _) in enumerate(FORGED):
            document = pair.docs["item"].find_one({"_id": place})
            forge(document, ticket)
            pair.docs["item"].replace_one({"_id": place}, document)
        found = kinds(await pair.verify())
        assert found == {str(place): "unissued" for place in range(len(FORGED))}
