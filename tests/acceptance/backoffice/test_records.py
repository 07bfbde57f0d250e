"""Customers, integrations, carriers, the delivery matrix: made, read, changed, removed."""

from __future__ import annotations

from itertools import count
from typing import Any

from fastapi import FastAPI

from tests.acceptance.backoffice.conftest import Join
from tests.acceptance.backoffice.system import Person, System, counted, run

_numbers = count(1)


async def carrier(admin: Person, *rates: tuple[str, int, str, int]) -> dict[str, Any]:
    """Make a carrier with prices: zone, upper bound, price, days."""
    made: dict[str, Any] = await admin.post("/api/carriers", {"code": f"C{next(_numbers)}", "name": "A carrier"})
    for zone, grams, price, days in rates:
        await admin.put(f"/api/delivery/rates/{made['id']}/{zone}/{grams}", {"price": price, "days": days})
    return made


async def organization(admin: Person) -> int:
    new = {"name": f"Organization {next(_numbers)}", "country": "DE"}
    return (await admin.post("/api/organizations", new))["id"]


async def test_organizations(admin: Person):
    id_ = await organization(admin)
    made = await admin.get(f"/api/organizations/{id_}")
    assert (made["country"], made["active"]) == ("DE", True)
    await admin.post("/api/organizations", {"name": made["name"], "country": "FR"}, status=409)
    await admin.post("/api/organizations", {"name": "x", "country": "Germany"}, status=422)
    assert (await admin.patch(f"/api/organizations/{id_}", {"active": False}))["active"] is False
    await admin.patch(f"/api/organizations/{id_}", {"name": None}, status=422)
    await admin.patch(f"/api/organizations/{id_}", {"id": 7}, status=422)
    await admin.delete(f"/api/organizations/{id_}")
    await admin.get(f"/api/organizations/{id_}", status=404)
    await admin.delete(f"/api/organizations/{id_}", status=404)


async def test_facilities_of_a_customer(admin: Person):
    id_ = await organization(admin)
    zone = f"Z{next(_numbers)}"
    await carrier(admin, (zone, 1000, "4.90", 2))
    new = {"organizationId": id_, "name": "Main", "kind": "warehouse", "address": "Hafenstr. 1", "zone": zone}
    made = await admin.post("/api/facilities", new)
    assert "facility of this name" in (await admin.post("/api/facilities", new, status=409))["detail"]
    assert "NOWHERE" in (await admin.post("/api/facilities", {**new, "zone": "NOWHERE"}, status=422))["detail"]
    await admin.post("/api/facilities", {**new, "organizationId": 2**50}, status=409)
    listed = await admin.get(f"/api/facilities?organizationId={id_}")
    assert listed["items"] == [made]
    assert "has facilities" in (await admin.send("DELETE", f"/api/organizations/{id_}", status=409)).json()["detail"]
    assert (await admin.patch(f"/api/facilities/{made['id']}", {"kind": "shop"}))["kind"] == "shop"
    await admin.patch(f"/api/facilities/{made['id']}", {"zone": "NOWHERE"}, status=422)
    await admin.delete(f"/api/facilities/{made['id']}")
    await admin.delete(f"/api/organizations/{id_}")


async def test_integrations_and_their_runs(admin: Person):
    new = {"name": f"EDI {next(_numbers)}", "kind": "edi", "settings": {"folder": "/in"}}
    made = await admin.post("/api/integrations", {**new, "organizationId": await organization(admin)})
    runs = f"/api/integrations/{made['id']}/runs"
    first = await admin.post(runs)
    assert "under way" in (await admin.post(runs, status=409))["detail"]
    ended = await admin.post(f"{runs}/{first['id']}/end", {"records": 12, "message": "12 orders"}, status=200)
    assert (ended["state"], ended["records"], ended["endedAt"] is not None) == ("succeeded", 12, True)
    await admin.post(f"{runs}/{first['id']}/end", {}, status=409)
    second = await admin.post(runs)
    await admin.post(f"{runs}/{second['id']}/end", {"state": "failed", "message": "no route to host"}, status=200)
    assert [one["state"] for one in (await admin.get(runs))["items"]] == ["failed", "succeeded"]
    await admin.post(f"/api/integrations/{2**40}/runs/{first['id']}/end", {}, status=404)
    await admin.patch(f"/api/integrations/{made['id']}", {"enabled": False})
    assert "not enabled" in (await admin.post(runs, status=409))["detail"]
    await admin.delete(f"/api/integrations/{made['id']}")
    assert (await admin.get(runs))["items"] == []


async def test_the_delivery_matrix_answers_with_the_band_of_a_weight(admin: Person):
    zone = f"Z{next(_numbers)}"
    cheap = await carrier(admin, (zone, 1000, "4.90", 3), (zone, 5000, "9.90", 3))
    fast = await carrier(admin, (zone, 2000, "7.50", 1))
    asked = f"/api/delivery/offers?zone={zone}&grams="
    for grams, prices in {1000: ["4.90", "7.50"], 1001: ["7.50", "9.90"], 2001: ["9.90"], 5001: []}.items():
        assert [one["price"] for one in await admin.get(f"{asked}{grams}")] == prices, grams
    await admin.patch(f"/api/carriers/{fast['id']}", {"active": False})
    assert [one["carrier"] for one in await admin.get(f"{asked}1000")] == [cheap["code"]]
    await admin.put(f"/api/delivery/rates/{cheap['id']}/{zone}/1000", {"price": "5.10", "days": 2})
    assert (await admin.get(f"{asked}500"))[0]["price"] == "5.10"
    await admin.delete(f"/api/delivery/rates/{cheap['id']}/{zone}/1000")
    await admin.delete(f"/api/delivery/rates/{cheap['id']}/{zone}/1000", status=404)
    assert (await admin.get(f"{asked}500"))[0]["price"] == "9.90"


async def test_prices_are_bounded(admin: Person):
    made = await carrier(admin)
    cell = f"/api/delivery/rates/{made['id']}/EU/100"
    for wrong in ({"price": "-1", "days": 1}, {"price": "1.001", "days": 1}, {"price": "1", "days": 366}, {"price": 1}):
        await admin.put(cell, wrong, status=422)
    await admin.put(f"/api/delivery/rates/{2**50}/EU/100", {"price": "1", "days": 1}, status=409)


async def test_prices_are_listed_a_page_at_a_time(admin: Person):
    made = await carrier(admin, *(("A", grams, "1", 1) for grams in (1, 2, 3)), ("B", 1, "1", 1))
    path, seen = f"/api/delivery/rates/{made['id']}?limit=3", list[tuple[str, int]]()
    while page := await admin.get(path):
        seen += [(one["zone"], one["toGrams"]) for one in page]
        path = f"/api/delivery/rates/{made['id']}?limit=3&afterZone={seen[-1][0]}&afterGrams={seen[-1][1]}"
    assert seen == [("A", 1), ("A", 2), ("A", 3), ("B", 1)]


async def test_carriers_and_their_audit_are_in_data(system: System, app: FastAPI, admin: Person):
    await admin.get("/api/auth/me")
    with counted(app) as statements:
        made = await carrier(admin, ("EU", 1, "1", 1))
        await admin.patch(f"/api/carriers/{made['id']}", {"name": "Another name"})
        await admin.delete(f"/api/carriers/{made['id']}")
    assert statements == []
    entries = (await admin.get("/api/audit/data?limit=4"))["items"]
    assert [one["action"] for one in entries] == ["carrier.deleted", "carrier.changed", "rate.set", "carrier.created"]
    assert system.ask("data", "SELECT count(*) FROM delivery_rates WHERE carrier_id = %s", made["id"]) == [(0,)]


async def test_who_may_only_read_changes_nothing(join: Join):
    reader = await join("customers.read", "delivery.read", "integrations.read")
    for path in ("/api/organizations", "/api/carriers", "/api/integrations", "/api/facilities"):
        await reader.get(path)
        await reader.post(path, {"name": "x"}, status=403)


def test_nothing_in_the_catalog_ties_both_sides_together(system: System):
    assert "0 obstacles" in run("split", "check", env=system.environment)
