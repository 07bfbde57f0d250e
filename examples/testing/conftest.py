import pytest

pytest_plugins = ["syncline.testing.plugin"]


@pytest.fixture(scope="session")
def syncline_schema():
    return "schema.sql"
