"""The harness as a pytest plugin: ``pytest_plugins = ["syncline.testing.plugin"]`` in ``conftest.py``."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import pytest

from syncline.errors import SynclineError
from syncline.testing.mapping.pair import Pair
from syncline.testing.mapping.prepare import Prepared
from syncline.testing.servers import Servers, running_servers

SEED_VARIABLE = "SYNCLINE_TEST_SEED"
DEFAULT_SEED = 1


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
    if config.getoption("syncline_seed") == "random" and not hasattr(config, "workerinput"):
        config.option.syncline_seed = str(random.SystemRandom().randrange(10**6))


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
def syncline_servers() -> Iterator[Servers]:
    """Both servers, for the whole run."""
    with stopped_at_errors(), running_servers() as servers:
        yield servers


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
