"""What every target promises, as tests. Subclass ``TargetContract`` and give it a fixture ``target``.

A target whose fence is the lane's, which keeps tables, has a suite of its own, ``RowsContract``: most promises are the
same, and a test in each sees that it is the one for ``target.fence``. Its database has the tables of ``TABLES``.

    class TestMyTarget(TargetContract):
        @pytest.fixture
        async def target(self):
            target = MyTarget(...)
            yield target
            await target.close()

The tests are asynchronous: run them with pytest-asyncio in ``auto`` mode, or the anyio plugin.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in ("calls", "control", "fence", "reading", "refusals", "rows", "source", "values", "writing")
    )
)

from syncline.testing.contract.calls import PEOPLE, THINGS, Calls, absence, batch_of, document, state  # noqa: E402  after the rewriting of assertions
from syncline.testing.contract.control import Control  # noqa: E402
from syncline.testing.contract.fence import Fence  # noqa: E402
from syncline.testing.contract.reading import DocumentReading  # noqa: E402
from syncline.testing.contract.refusals import DocumentRefusals  # noqa: E402
from syncline.testing.contract.rows import (  # noqa: E402
    TABLES,
    LaneFence,
    RowReading,
    RowRefusals,
    RowValues,
    RowWriting,
)
from syncline.testing.contract.source import SourceContract  # noqa: E402
from syncline.testing.contract.values import Values  # noqa: E402
from syncline.testing.contract.writing import DocumentWriting  # noqa: E402

__all__ = [
    "PEOPLE",
    "TABLES",
    "THINGS",
    "Calls",
    "RowsContract",
    "SourceContract",
    "TargetContract",
    "absence",
    "batch_of",
    "document",
    "state",
]


class TargetContract(DocumentWriting, Fence, Values, DocumentRefusals, Control, DocumentReading):
    """The promises of ``syncline.ports.Target``, each as a test, for one that keeps documents with tickets."""


class RowsContract(RowWriting, LaneFence, RowValues, RowRefusals, RowReading, Control):
    """The promises of ``syncline.ports.Target``, each as a test, for one that keeps rows, fenced by lanes."""
