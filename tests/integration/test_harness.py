"""The harness for mappings and targets over the example of the documentation, and over every type."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from syncline.capture.postgres.install import install, plan
from syncline.errors import SynclineError
from syncline.model.entity import Entity, TableName
from syncline.postgres.connection import connect
from syncline.testing import captured
from syncline.testing.contract import TargetContract
from syncline.testing.mapping import MappingContract
from tests.harness.running import EXAMPLE, LIMIT_SECONDS, run

pytestmark = pytest.mark.slow
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PAGE = HOW_TO / "test-your-mapping.md"
WRITES = HOW_TO / "test-your-writes.md"


def test_the_example_is_green(postgres, mongo, tmp_path):
    done = run(tmp_path, "test_mapping.py", (postgres.url, mongo.url))
    assert done.status == 0, done.output
    tests = {name for name, _ in inspect.getmembers(MappingContract, inspect.isfunction) if name.startswith("test_")}
    assert done.passed == {f"TestShop::{name}" for name in tests}
    assert "syncline seed: 7" in done.output


@pytest.mark.engines
def test_private_servers_are_started_when_none_are_named(tmp_path):
    done = run(tmp_path, "test_mapping.py", None, select=["TestShop::test_every_column_is_mapped_or_excluded"])
    assert done.status == 0, done.output
    assert len(done.passed) == 1


def test_a_seed_that_is_no_number_is_refused(tmp_path):
    done = run(tmp_path, "test_mapping.py", None, select=["TestShop::test_inserts_arrive"], seed="x")
    assert "--syncline-seed x: a number is expected, or 'random'" in done.failures["TestShop::test_inserts_arrive"]


def test_all_processes_of_xdist_have_the_one_seed_that_was_drawn(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["syncline.testing.plugin"]\n')
    lines = (
        "import pathlib",
        "",
        "",
        "def test_seed(syncline_seed):",
        "    pathlib.Path(__file__ + str(syncline_seed)).touch()",
    )
    for number in (1, 2):
        (tmp_path / f"test_{number}.py").write_text("\n".join(lines))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-n2",
        "--dist=loadfile",
        "--syncline-seed=random",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    seeds = {one.name.partition(".py")[2] for one in tmp_path.glob("test_?.py?*")}
    assert len(seeds) == 1, done.stdout
    assert f"syncline seed: {seeds.pop()}" in done.stdout
    assert "2 passed" in done.stdout


def test_the_example_of_a_target_is_green(postgres, mongo, tmp_path):
    done = run(tmp_path, "test_target.py", (postgres.url, mongo.url))
    assert done.status == 0, done.output
    assert not done.skipped
    tests = {name for name, _ in inspect.getmembers(TargetContract, inspect.isfunction) if name.startswith("test_")}
    assert {name.partition("::")[2].partition("[")[0] for name in done.passed} == tests


def test_every_type_is_generated_and_comes_back(postgres, mongo, tmp_path):
    done = run(tmp_path, "every_type.py", (postgres.url, mongo.url))
    assert done.status == 0, done.output
    assert not done.skipped


def test_the_example_of_writes_is_green_without_mongodb(postgres, tmp_path):
    done = run(tmp_path, "test_writes.py", (postgres.url, "mongodb://127.0.0.1:9"))
    assert done.status == 0, done.output
    assert len(done.passed) == 2


def test_a_write_that_is_not_captured_turns_the_test_red(postgres, tmp_path):
    """Purchases left out of the configuration: their deletion leaves nothing for the worker."""
    shutil.copytree(EXAMPLE, tmp_path / "less", ignore=shutil.ignore_patterns("__pycache__"))
    config = tmp_path / "less" / "syncline.toml"
    config.write_text(config.read_text("utf-8").partition("[entities.purchase]")[0], "utf-8")
    test = "test_forgetting_a_customer_removes_the_purchases_too"
    done = run(tmp_path / "less", "test_writes.py", (postgres.url, "mongodb://127.0.0.1:9"), copied=True)
    assert set(done.failures) == {f"test_writes::{test}"}
    assert "purchase.deleted" in done.failures[f"test_writes::{test}"]


def test_what_is_captured_is_what_was_committed(postgres, database):
    with pytest.raises(SynclineError, match="not installed"), captured(database):
        pass
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE item (id int PRIMARY KEY, v int)")
        asyncio.run(
            install_entity(
                database,
                Entity("item", TableName("public", "item"), "items"),
            )
        )
        conn.execute("INSERT INTO item VALUES (1, 1)")
        with psycopg.connect(database) as early:
            early.execute("INSERT INTO item VALUES (2, 1)")  # draws its number before the block, commits in it
            with captured(database) as changes:
                conn.execute("UPDATE item SET v = 2 WHERE id = 1")
                early.commit()
                early.execute("DELETE FROM item")
                early.rollback()
                assert changes == [], "filled at the end"
        assert changes == [("item.created", "2"), ("item.updated", "1")]
        conn.execute("UPDATE syncline.lane SET owner = gen_random_uuid() WHERE lane = 1")
        with pytest.raises(SynclineError, match="worker is at work"), captured(database):
            pass


def test_the_pages_show_the_example_as_it_is():
    page = PAGE.read_text("utf-8") + WRITES.read_text("utf-8")
    for file in sorted(EXAMPLE.iterdir()):
        if file.is_file():
            assert f"```{_language(file)}\n{file.read_text('utf-8')}```" in page, f"{file.name} differs from the page"


def test_the_page_names_every_test_of_a_mapping():
    page = PAGE.read_text("utf-8")
    for name in dir(MappingContract):
        if name.startswith("test_"):
            assert f"`{name}`" in page


def test_pytest_is_not_needed_to_use_the_package():
    code = "import sys; import syncline, syncline.testing, syncline.wiring.worker; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def install_entity(url, entity):
    conn = await connect(url)
    await install(conn, await plan(conn, [entity]))
    await conn.close()


def _language(file: Path) -> str:
    return {".py": "python", ".sql": "sql", ".toml": "toml", ".ini": "ini"}[file.suffix]
