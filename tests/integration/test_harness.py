"""The harness for mappings and targets over the example of the documentation, and over every type."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from syncline.testing.contract import TargetContract
from syncline.testing.mapping import MappingContract
from tests.harness.running import EXAMPLE, run

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-mapping.md"


def test_the_example_is_green(postgres, mongo, tmp_path):
    done = run(tmp_path, "test_mapping.py", (postgres.url, mongo.url))
    assert done.status == 0, done.output
    tests = {name for name, _ in inspect.getmembers(MappingContract, inspect.isfunction) if name.startswith("test_")}
    assert done.passed == {f"TestShop::{name}" for name in tests}
    assert "syncline seed: 7" in done.output


def test_private_servers_are_started_when_none_are_named(tmp_path):
    done = run(tmp_path, "test_mapping.py", None, select=["TestShop::test_every_column_is_mapped_or_excluded"])
    assert done.status == 0, done.output
    assert len(done.passed) == 1


def test_a_seed_that_is_no_number_is_refused(tmp_path):
    done = run(tmp_path, "test_mapping.py", None, select=["TestShop::test_inserts_arrive"], seed="x")
    assert "--syncline-seed x: a number is expected, or 'random'" in done.failures["TestShop::test_inserts_arrive"]


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


def test_the_page_shows_the_example_as_it_is():
    page = PAGE.read_text("utf-8")
    for file in sorted(EXAMPLE.iterdir()):
        if file.is_file():
            assert f"```{_language(file)}\n{file.read_text('utf-8')}```" in page, f"{file.name} differs from the page"


def test_the_page_names_every_test_of_a_mapping():
    page = PAGE.read_text("utf-8")
    for name in dir(MappingContract):
        if name.startswith("test_"):
            assert f"`{name}`" in page


def test_pytest_is_not_needed_to_use_the_package():
    code = "import sys; import syncline, syncline.testing, syncline.wiring; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _language(file: Path) -> str:
    return {".py": "python", ".sql": "sql", ".toml": "toml", ".ini": "ini"}[file.suffix]
