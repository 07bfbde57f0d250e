"""Your mapping under test: your tables, your ``syncline.toml``, random rows, every fault. Needs pytest.

# conftest.py
pytest_plugins = ["syncline.testing.plugin"]

# test_mapping.py
from syncline.testing.mapping import MappingContract  # noqa: E402

class TestMyMapping(MappingContract):
config = "syncline.toml"
schema = "schema.sql"
"""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in ("changes", "fields", "outages", "verification")))

from syncline.testing.mapping.base import MappingCase  # noqa: E402
from syncline.testing.mapping.changes import ChangeTests  # noqa: E402
from syncline.testing.mapping.fields import FieldTests  # noqa: E402
from syncline.testing.mapping.outages import FaultTests  # noqa: E402
from syncline.testing.mapping.pair import Pair  # noqa: E402
from syncline.testing.mapping.verification import VerificationTests  # noqa: E402

__all__ = ["MappingCase", "MappingContract", "Pair"]


class MappingContract(FieldTests, ChangeTests, FaultTests, VerificationTests):
    """Everything that must hold for a mapping, each as a test; a private copy of both databases for each."""
