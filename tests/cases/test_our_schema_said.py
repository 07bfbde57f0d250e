"""A schema of ours in halves is said in a sentence that names the command: by commands, by the worker, by the doctor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.errors import DamagedError
from syncline.relay import worker
from tests.relay import Relay, relayed, until

PUT_BACK = "`syncline install` puts it back"
DROPS = {
    "table syncline.entity": "DROP TABLE syncline.entity CASCADE",
    "table syncline.outbox": "DROP TABLE syncline.outbox CASCADE",
    "table syncline.task": "DROP TABLE syncline.task",
    "column syncline.lane.epoch": "ALTER TABLE syncline.lane DROP COLUMN epoch",
    "function syncline.mark": "DROP FUNCTION syncline.mark",
    "rows of syncline.lane": "TRUNCATE syncline.lane",
}


@pytest.fixture
def installed(database: str, mongo_url: str, mongo_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    Path("syncline.toml").write_text(
        f'[source]\nurl = "{database}"\n[target]\nurl = "{mongo_url}"\ndatabase = "{mongo_db}"\n'
        '[entities.item]\ntable = "item"\n'
    )

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert "Traceback" not in result.output
        return result.exit_code, " ".join(result.output.split())

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE item (id bigint PRIMARY KEY, name text)")
        assert run("install", "--yes")[0] == 0
        yield SimpleNamespace(run=run, sql=connection.execute)


@pytest.mark.parametrize("what", DROPS)
def test_case_26_commands_say_what_is_missing_and_what_puts_it_back(installed: Any, what: str) -> None:
    installed.sql(DROPS[what])

    for command in (["status"], ["verify"], ["backfill"], ["parked", "list"], ["worker"]):
        status, said = installed.run(*command)
        assert (status, said.count(f"another tool has dropped {what}")) == (3, 1), said
        assert PUT_BACK in said
    status, said = installed.run("doctor")
    assert (status, f"another tool has dropped {what}" in said, "syncline install" in said) == (2, True, True), said

    status, said = installed.run("install", "--yes")
    assert (status, f"put back {what}" in said) == (0, True), said
    assert "another tool" not in installed.run("status")[1]


def test_case_26_without_the_table_meta_commands_name_those_that_start_over(installed: Any) -> None:
    installed.sql("DROP TABLE syncline.meta")

    for command in (["status"], ["worker"], ["install", "--yes"]):
        status, said = installed.run(*command)
        assert status == 3, said
        assert "another tool has dropped table syncline.meta" in said
        assert "`syncline uninstall`, then `syncline install`" in said

    assert installed.run("uninstall", "--yes")[0] == 0
    assert installed.run("install", "--yes")[0] == 0


@pytest.fixture
async def relay(database: str) -> AsyncIterator[Relay]:
    async with relayed(database) as found:
        yield found


@pytest.mark.parametrize("what", ["table syncline.outbox", "table syncline.entity", "column syncline.lane.epoch"])
async def test_a_running_worker_says_it_and_the_next_one_goes_on_where_it_is_put_back(
    relay: Relay, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "DAMAGED_SECONDS", 0.0)

    async def damaged() -> None:
        async with relay.worker() as running:
            relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 20) AS n")
            await relay.drained()
            relay.sql(DROPS[what])
            relay.sql("UPDATE item SET qty = 1")
            relay.sql("DELETE FROM item WHERE id = 3")
            await until(lambda: running._pump is None, seconds=30)

    with pytest.raises(DamagedError, match=f"another tool has dropped {what}") as error:
        await damaged()
    assert PUT_BACK in str(error.value)

    await relay.install(backfill=True)
    relay.sql("UPDATE item SET qty = 2 WHERE id = 5")
    async with relay.worker():
        await relay.equal(tasks=True)
