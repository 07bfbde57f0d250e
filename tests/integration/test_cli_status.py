"""What ``status``, ``init`` and ``config check`` print: for people within 80 columns, for machines as documented."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from tests.integration.doctor_case import Clinic as Case
from tests.integration.doctor_case import clinic

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "status.md"


@pytest.fixture
def case(database, mongo_url, mongo_db, tmp_path):
    with clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


def busy(case: Case) -> None:
    """Have everything there that can be shown, with long names."""
    case.sql(
        "INSERT INTO syncline.worker (id, name, version, expires_at, report) SELECT gen_random_uuid(),"
        " 'a-host-with-quite-a-long-name.region-7.example.org:12345', '0.1.0', clock_timestamp() + interval '1 hour',"
        """ '{"rate": 1234.5, "marks": 9, "target_error": "MongoDB: no primary is found among three members","""
        """ "waits_at_gate": "data"}'"""
    )
    case.sql("UPDATE syncline.lane SET owner = (SELECT id FROM syncline.worker)")
    case.sql(
        """UPDATE syncline.task SET progress = '{"done": 4500, "marked": 4500, "total": 10000}',"""
        " claimed_until = clock_timestamp() + interval '1 hour' WHERE id = 1"
    )
    case.sql(
        "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report) SELECT id, clock_timestamp()"
        """ - interval '3 hours', 20, 'divergent', '{"divergent": {"missing": 2}}' FROM syncline.entity"""
        " WHERE name = 'album'"
    )
    case.sql(
        "INSERT INTO syncline.verification (origin, entity, scope) SELECT 'command', id, '' FROM syncline.entity"
        " WHERE name = 'person'"
    )
    case.sql(
        "INSERT INTO syncline.notice (name, severity, message) VALUES ('Restored', 'critical',"
        " 'the target has forgotten what it had confirmed: it was restored; every record is being marked')"
    )


class TestStatus:
    def test_fits_a_terminal_of_80_columns(self, case: Case) -> None:
        busy(case)
        text = case.run("status", ok=2, env={"COLUMNS": "80"})
        assert max(map(len, text.splitlines())) <= 80
        flat = re.sub(r"\s+", " ", text)
        assert "backfill of album (install): running, 45%, 4,500 of about 10,000" in flat
        assert "backfill of person (install): waiting" in flat
        assert "verified album: divergent, 20 records" in flat
        assert "(3 h ago)" in flat
        assert "1,234.5 marks/s, alive" in flat
        assert "MongoDB: no primary is found among three members" in flat
        assert "lanes 64 of 64 owned" in flat
        assert "waiting at the gate of the move data" in flat

    def test_a_notice_that_has_ended_is_told_from_one_that_is_open(self, case: Case) -> None:
        case.sql(
            "INSERT INTO syncline.notice (name, severity, message, resolved_at) VALUES ('Open', 'warning', 'w', NULL),"
            " ('Ended', 'warning', 'w', clock_timestamp()), ('Trace', 'info', 'i', clock_timestamp())"
        )
        lines = [line.split(maxsplit=3)[3] for line in case.run("status", ok=1).splitlines() if "  notice " in line]
        assert [line for line in lines if line[0] in "OET"] == ["Open: w", "Ended (resolved): w", "Trace: i"]

    def test_the_newest_proof_is_told_though_an_older_one_came_later(self, case: Case) -> None:
        busy(case)
        case.sql(
            "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report)"
            " SELECT entity, as_of - interval '2 hours', 20, 'equal', '{}' FROM syncline.certificate"
        )
        [told] = json.loads(case.run("status", "--json", ok=2))["certificates"]
        assert (told["verdict"], told["passes"]) == ("divergent", 2)

    def test_a_critical_notice_is_not_hidden_by_many_newer_ones(self, case: Case) -> None:
        busy(case)
        case.sql(
            "INSERT INTO syncline.notice (name, severity, message, entity) SELECT 'NewColumn', 'warning', 'new', 'e' || n"
            " FROM generate_series(1, 60) AS n"
        )
        told = json.loads(case.run("status", "--json", ok=2))
        assert (told["status"], told["notices"][0]["name"]) == ("unhealthy", "Restored")

    def test_the_documented_shape_is_the_shape(self, case: Case) -> None:
        busy(case)
        found = json.loads(case.run("status", "--json", ok=2))
        example = json.loads(re.findall(r"```json\n(.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL)[0])
        assert _shape(found) == _shape(example)

    def test_cockroachdb_goes_by_its_name(self, cockroach, mongo_url, mongo_db, tmp_path) -> None:
        with clinic(cockroach.postgres_url, mongo_url, mongo_db, tmp_path, installed=False) as case:
            with psycopg.connect(cockroach.url, autocommit=True) as application:
                application.execute("CREATE TABLE city (id bigint PRIMARY KEY, name text)")
            text = CliRunner().invoke(app, ["init", "--url", cockroach.url, "--stdout"]).output
            assert 'name = "cockroachdb"' in text
            case.configure(cockroach.url)
            case.edit(
                case.config.read_text()[case.config.read_text().index("[entities") :],
                '[entities.city]\ntable = "city"\n',
            )
            case.run("install", "--yes")
            assert json.loads(case.run("status", "--json", ok=1))["databases"].keys() == {"cockroachdb", "mongodb"}


def _shape(value: object) -> object:
    """Reduce JSON to names and kinds; of a list the first item counts."""
    if isinstance(value, dict):
        if "report" in value and "lanes" in value:
            value = value | {"report": {}}
        for free in {"progress", "divergent"} & value.keys():
            value = value | {free: {}}
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


class TestInit:
    def test_as_json(self, case: Case) -> None:
        case.sql("CREATE TABLE notes (body text)")
        place = case.folder / "written.toml"
        arguments = ["init", "--url", case.url, "--config", str(place), "--json"]
        report = json.loads(CliRunner().invoke(app, arguments).output)
        assert report["file"] == str(place)
        assert report["text"] == place.read_text("utf-8")
        assert report["source"] == "postgresql"
        assert {"name": "album", "table": "public.album", "key": ["id"]} in report["entities"]
        assert [one["table"] for one in report["leftOut"]] == ["public.notes"]
        report = json.loads(CliRunner().invoke(app, [*arguments[:3], "--stdout", "--json"]).output)
        assert report["file"] is None


class TestConfigCheck:
    def test_as_json(self, case: Case) -> None:
        report = json.loads(case.run("config", "check", "--json"))
        assert report["valid"] is True
        assert report["file"] == str(case.config)
        assert report["entities"][0] == {"name": "album", "table": "public.album", "collection": "album"}

    def test_what_is_wrong_is_an_error(self, case: Case) -> None:
        case.edit("[worker]", "[wroker]")
        assert "wroker" in case.run("config", "check", "--json", ok=3)
