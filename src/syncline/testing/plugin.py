"""The harness as a pytest plugin: ``pytest_plugins = ["syncline.testing.plugin"]`` in ``conftest.py``."""

from __future__ import annotations

import contextlib
import functools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncline.errors import ConfigError, SynclineError
from syncline.testing.captured import NOWHERE, Change, captured, prepared_source
from syncline.testing.mapping.pair import Pair
from syncline.testing.mapping.prepare import Prepared, run_files
from syncline.testing.servers import Servers, running_mongo, running_postgres

SEED_VARIABLE = "SYNCLINE_TEST_SEED"
DEFAULT_SEED = 1
_SEED = "syncline_seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our option."""
    parser.getgroup("syncline").addoption(
        "--syncline-seed",
        default=os.environ.get(SEED_VARIABLE, str(DEFAULT_SEED)),
        metavar="N",
        help=f"seed of generated rows and random changes, or 'random' (default: ${SEED_VARIABLE}, then {DEFAULT_SEED})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed once, for all worker processes of pytest-xdist too."""
    if hasattr(config, "workerinput"):
        config.option.syncline_seed = config.workerinput.get(_SEED, config.option.syncline_seed)
    elif config.getoption("syncline_seed") == "random":
        config.option.syncline_seed = str(random.SystemRandom().randrange(10**6))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker process of pytest-xdist the seed: it reads the command's options anew."""
    node.workerinput[_SEED] = node.config.option.syncline_seed


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed."""
    return f"syncline seed: {config.getoption('syncline_seed')}"


@pytest.fixture(scope="session")
def syncline_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this run."""
    value = str(request.config.getoption("syncline_seed"))
    if not value.isdigit():
        pytest.fail(f"--syncline-seed {value}: a number is expected, or 'random'", pytrace=False)
    return int(value)


@pytest.fixture(scope="session")
def syncline_postgres() -> Iterator[str]:
    """URL of a PostgreSQL server, for the whole run."""
    with stopped_at_errors(), running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def syncline_servers(syncline_postgres: str) -> Iterator[Servers]:
    """Both servers, for the whole run."""
    with stopped_at_errors(), running_mongo() as mongo:
        yield Servers(syncline_postgres, mongo)


@pytest.fixture(scope="session")
def syncline_config() -> str | Path:
    """Your configuration; override it when it is elsewhere."""
    return "syncline.toml"


@pytest.fixture(scope="session")
def syncline_schema() -> str | Path | Sequence[str | Path] | Callable[[str], None]:
    """What creates your tables, to be overridden: SQL files, or a function that gets the URL of an empty database."""
    raise ConfigError(
        "nobody says what creates your tables",
        hint='conftest.py: a fixture syncline_schema, scope="session", returning "schema.sql" or a function of a URL',
    )


@pytest.fixture(scope="session")
def syncline_template(
    request: pytest.FixtureRequest, syncline_postgres: str, syncline_config: str | Path
) -> Iterator[str]:
    """Name of a database with your tables and capture, to be copied for each test."""
    with stopped_at_errors():
        schema = request.getfixturevalue("syncline_schema")
        root = request.config.rootpath
        if not callable(schema):
            files = [root / file for file in ([schema] if isinstance(schema, str | Path) else schema)]
            schema = functools.partial(run_files, files=files)
        with prepared_source(Servers(syncline_postgres, NOWHERE), root / syncline_config, schema) as template:
            yield template


@pytest.fixture
def syncline_source(syncline_postgres: str, syncline_template: str) -> Iterator[str]:
    """URL of one test's PostgreSQL database: your tables, capture installed, no worker."""
    with stopped_at_errors(), Servers(syncline_postgres, NOWHERE).database(syncline_template) as url:
        yield url


@pytest.fixture
def syncline_captured(
    syncline_source: str,
) -> Callable[[], contextlib.AbstractContextManager[list[Change]]]:
    """Give a block that collects what your code leaves for the worker, as a list."""
    return functools.partial(captured, syncline_source)


@pytest.fixture(scope="class")
def syncline_mapping(request: pytest.FixtureRequest, syncline_servers: Servers) -> Iterator[Prepared]:
    """The mapping of a test class, ready to be copied for each test."""
    with stopped_at_errors(), request.cls().prepared(syncline_servers) as mapping:
        yield mapping


@pytest.fixture
def syncline_pair(request: pytest.FixtureRequest, syncline_seed: int, syncline_mapping: Prepared) -> Iterator[Pair]:
    """Both databases of one test."""
    with stopped_at_errors(), request.instance.opened(syncline_mapping, syncline_seed, request.node.name) as pair:
        yield pair


@contextlib.contextmanager
def stopped_at_errors() -> Iterator[None]:
    """Turn our errors into a failure of a few lines."""
    try:
        yield
    except SynclineError as error:
        pytest.fail(str(error), pytrace=False)
