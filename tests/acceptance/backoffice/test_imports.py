"""Imports: files good and bad, transforms, commit, discard, exports."""

from __future__ import annotations

import asyncio
import csv
import io
import zipfile
from typing import Any

import pytest
from fastapi import FastAPI
from openpyxl import Workbook

from tests.acceptance.backoffice.conftest import Join
from tests.acceptance.backoffice.system import Person, System, client
from tests.acceptance.backoffice.test_records import carrier

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADER = "carrier,zone,to_grams,price,days\n"


async def upload(
    admin: Person, content: str | bytes, *, kind: str = "text/csv", status: int = 201, query: str = ""
) -> Any:
    data = content.encode() if isinstance(content, str) else content
    headers = {"Content-Type": kind}
    path = f"/api/imports?name=Prices{query}"
    return (await admin.send("POST", path, status=status, content=data, headers=headers)).json()


async def rejects(admin: Person, run: Any) -> list[tuple[int, str | None, str]]:
    found = (await admin.get(f"/api/imports/{run['id']}/rejects"))["items"]
    return [(one["line"], one["column"], one["message"]) for one in reversed(found)]


async def prices(system: System, code: str) -> list[tuple[Any, ...]]:
    query = """SELECT zone, to_grams, price::text, days FROM delivery_rates JOIN carriers ON id = carrier_id
               WHERE code = %s ORDER BY zone, to_grams"""
    return system.ask("data", query, code)


async def test_a_file_is_staged_committed_and_served(system: System, admin: Person):
    code = (await carrier(admin, ("EU", 1000, "1.00", 9)))["code"]
    run = await upload(admin, f"{HEADER}{code},EU,1000,4.90,2\n{code},EU,5000,9.9,3\n")
    assert (run["state"], run["rows"], run["rejects"], run["format"]) == ("staged", 2, 0, "csv")
    assert await prices(system, code) == [("EU", 1000, "1.00", 9)]
    done = await admin.post(f"/api/imports/{run['id']}/commit", status=200)
    assert done["state"] == "committed"
    assert await prices(system, code) == [("EU", 1000, "4.90", 2), ("EU", 5000, "9.90", 3)]
    problem = await admin.post(f"/api/imports/{run['id']}/commit", status=409)
    assert problem["state"] == "committed"
    await admin.send("DELETE", f"/api/imports/{run['id']}", status=409)
    assert system.ask("data", "SELECT count(*) FROM import_rows WHERE import_id = %s", run["id"]) == [(0,)]
    assert system.ask("data", "SELECT state FROM import_batches WHERE import_id = %s", run["id"]) == [("committed",)]


async def test_what_is_discarded_changes_no_price(system: System, admin: Person):
    code = (await carrier(admin))["code"]
    run = await upload(admin, f"{HEADER}{code},EU,1000,4.90,2\n")
    assert (await admin.send("DELETE", f"/api/imports/{run['id']}", status=200)).json()["state"] == "discarded"
    await admin.post(f"/api/imports/{run['id']}/commit", status=409)
    assert await prices(system, code) == []


async def test_rejects_name_line_and_column(admin: Person):
    code = (await carrier(admin))["code"]
    lines = [
        f"{code},EU,1000,4.90,2",
        f"{code},EU,lots,4.90,2",
        f"{code},EU,2000,4.999,2",
        f'{code},"E\nU",2000,4.90,2',
        "GONE,EU,2000,4.90,2",
        f"{code},EU,1000,5.90,2",
        f"{code},EU,3000,5.90,2,and more",
        "",
        f"{code},EU,3000,-1,",
        f"{code},EU,3000,NaN,1_0",
    ]
    run = await upload(admin, HEADER + "\n".join(lines))
    assert (run["rows"], run["rejects"]) == (1, 8)
    assert sorted(await rejects(admin, run), key=lambda one: (one[0], one[1] or "")) == [
        (3, "to_grams", "'lots' is not an integer"),
        (4, "price", "4.999 has more than two decimal places"),
        (5, "zone", "'E\\nU' is no code: capital letters, digits, - and _"),
        (7, "carrier", "there is no carrier GONE"),
        (8, "to_grams", "the same carrier, zone and weight as line 2"),
        (9, None, "it has 6 cells, and the header 5"),
        (11, "days", "it is missing"),
        (11, "price", "-1 is not between 0 and 1000000"),
        (12, "days", "'1_0' is not an integer"),
        (12, "price", "'NaN' is not a decimal"),
    ]
    report = await admin.get(f"/api/imports/{run['id']}/report")
    assert (report["rows"], report["rejects"], len(report["reasons"])) == (1, 8, 10)
    exported = await admin.send("GET", f"/api/exports/imports/{run['id']}/rejects.csv", status=200)
    assert exported.text.splitlines()[1] == "3,to_grams,'lots' is not an integer"


def book(*rows: tuple[Any, ...]) -> bytes:
    made, out = Workbook(), io.BytesIO()
    for row in rows:
        made.active.append(row)
    made.save(out)
    return out.getvalue()


async def test_a_spreadsheet(system: System, admin: Person):
    code = (await carrier(admin))["code"]
    header = ("carrier", "zone", "to_grams", "price", "days")
    content = book(header, (code, "EU", 1000, 4.9, 2), (None,) * 5, (code, "EU", "x", 4.9, 2))
    run = await upload(admin, content, kind=XLSX)
    assert (run["rows"], run["rejects"], run["format"]) == (1, 1, "xlsx")
    assert (await rejects(admin, run))[0][:2] == (4, "to_grams")
    await admin.post(f"/api/imports/{run['id']}/commit", status=200)
    assert await prices(system, code) == [("EU", 1000, "4.90", 2)]


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/sharedStrings.xml", "w") as file:
        for _ in range(260):
            file.write(bytes(1024 * 1024))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b"", "text/csv", "must name the columns"),
        (b"a,a\n1,2\n", "text/csv", "each once"),
        (b"carrier,zone\nDHL,\xff\n", "text/csv", "not in UTF-8"),
        (b'carrier,zone\n"DHL,1\n', "text/csv", "is no CSV"),
        (b"carrier,zone\n", XLSX, "is no XLSX"),
        (bomb, XLSX, "unpacked it is larger"),
    ],
    ids=["empty", "same names", "bytes", "open quote", "no archive", "bomb"],
)
async def test_files_that_cannot_be_read_leave_a_run_that_says_why(
    system: System, admin: Person, content: Any, kind: str, told: str
):
    problem = await upload(admin, content if isinstance(content, bytes) else content(), kind=kind, status=422)
    assert told in problem["detail"]
    run = await admin.get(f"/api/imports/{problem['id']}")
    assert run["state"] == "failed"
    assert told in run["message"]
    assert system.ask("data", "SELECT count(*) FROM import_rows WHERE import_id = %s", run["id"]) == [(0,)]


async def test_what_is_no_upload(system: System, admin: Person):
    await upload(admin, "x", kind="application/json", status=415)
    await upload(admin, "x", query="&transform=nobody-has-this", status=404)
    await upload(admin, "x", query="&transform=No+Name", status=422)
    small = system.app(upload_bytes=2000)
    async with small.state.services.databases:
        there = admin.at(small)
        before = system.ask("primary", "SELECT count(*) FROM import_runs")
        await upload(there, "x" * 3000, status=413)

        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 1000

        headers = {**there.client.headers, "Content-Type": "text/csv"}
        answer = await client(small).post("/api/imports?name=x", content=endless(), headers=headers)
        assert answer.status_code == 413
        assert system.ask("primary", "SELECT count(*) FROM import_runs") == before


STEPS: list[dict[str, Any]] = [
    {"do": "trim"},
    {"do": "rename", "column": "Region", "to": "zone"},
    {"do": "map", "column": "zone", "values": {"Europe": "EU-1"}, "otherwise": "reject"},
    {"do": "parse", "column": "price", "kind": "decimal", "decimalSign": ","},
    {"do": "validate", "column": "price", "minimum": 1, "maximum": 100},
    {"do": "default", "column": "days", "value": "3"},
]


async def test_steps_are_previewed_saved_and_used(system: System, admin: Person):
    code = (await carrier(admin))["code"]
    name = f"steps-{code.lower()}"
    content = f"carrier;Region;to_grams;price;days\n{code}; Europe ;1000;1.004,90;\n{code};Europe;2000;4,90;\n{code};Asia;1;0,5;1\n"
    first = await upload(admin, content)
    assert first["rows"] == 0
    shown = await admin.post(f"/api/imports/{first['id']}/preview", {"steps": STEPS}, status=200)
    assert [(one["content"], [each["column"] for each in one["errors"]]) for one in shown] == [
        (None, ["price"]),
        ({"carrier": code, "zone": "EU-1", "to_grams": 2000, "price": "4.90", "days": 3}, []),
        (None, ["zone", "price"]),
    ]
    assert (await admin.post(f"/api/transforms/{name}", {"steps": STEPS[1:]}))["version"] == 1
    assert (await admin.post(f"/api/transforms/{name}", {"steps": STEPS}))["version"] == 2
    assert (await admin.get(f"/api/transforms/{name}"))["version"] == 2
    run = await upload(admin, content, query=f"&transform={name}")
    assert (run["transform"], run["transformVersion"], run["rows"], run["rejects"]) == (name, 2, 1, 2)
    await admin.post(f"/api/imports/{run['id']}/commit", status=200)
    assert await prices(system, code) == [("EU-1", 2000, "4.90", 3)]
    old = await upload(admin, content, query=f"&transform={name}&version=1")
    assert (old["transformVersion"], old["rows"]) == (1, 1)


async def test_steps_that_make_no_sense_are_refused(admin: Person):
    for wrong in ({"do": "eval", "column": "x"}, {"do": "rename", "column": "x"}, {"do": "trim", "more": 1}):
        await admin.post("/api/transforms/wrong", {"steps": [wrong]}, status=422)


async def test_an_export_can_be_imported_and_carries_nothing_out(system: System, admin: Person):
    made = await carrier(admin, ("EU", 1000, "4.90", 2))
    evil = await admin.post("/api/carriers", {"code": f"X{made['code']}", "name": "=HYPERLINK(1)"})
    answer = await admin.send("GET", "/api/exports/carriers.csv", status=200)
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert [evil["code"], "'=HYPERLINK(1)", "True"] in rows
    exported = (await admin.send("GET", "/api/exports/rates.csv", status=200)).text
    before = system.ask("data", "SELECT * FROM delivery_rates ORDER BY 1, 2, 3")
    run = await upload(admin, exported)
    assert (run["rows"], run["rejects"]) == (len(before), 0)
    await admin.post(f"/api/imports/{run['id']}/commit", status=200)
    assert system.ask("data", "SELECT * FROM delivery_rates ORDER BY 1, 2, 3") == before


async def test_two_who_commit_at_once_commit_once(system: System, app: FastAPI, other: FastAPI, admin: Person):
    code = (await carrier(admin))["code"]
    run = await upload(admin, f"{HEADER}{code},EU,1000,4.90,2\n")
    path = f"/api/imports/{run['id']}/commit"
    answers = await asyncio.gather(admin.client.post(path), admin.at(other).client.post(path))
    assert sorted(one.status_code for one in answers) == [200, 409]
    assert len(await prices(system, code)) == 1


async def test_who_may_only_read_imports_nothing(join: Join):
    reader = await join("imports.read")
    await reader.get("/api/imports")
    await upload(reader, HEADER, status=403)
