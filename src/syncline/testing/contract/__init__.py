"""What every target promises, as tests. Subclass ``TargetContract`` and give it a fixture ``target``.

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
    *(f"{__name__}.{part}" for part in ("control", "fence", "reading", "refusals", "source", "values", "writing"))
)

from syncline.testing.contract.calls import PEOPLE, THINGS, Calls, absence, batch_of, document, state  # noqa: E402  after the rewriting of assertions
from syncline.testing.contract.control import Control  # noqa: E402
from syncline.testing.contract.fence import Fence  # noqa: E402
from syncline.testing.contract.reading import Reading  # noqa: E402
from syncline.testing.contract.refusals import Refusals  # noqa: E402
from syncline.testing.contract.source import SourceContract  # noqa: E402
from syncline.testing.contract.values import Values  # noqa: E402
from syncline.testing.contract.writing import Writing  # noqa: E402

__all__ = ["PEOPLE", "THINGS", "Calls", "SourceContract", "TargetContract", "absence", "batch_of", "document", "state"]


class TargetContract(Writing, Fence, Values, Refusals, Control, Reading):
    """The promises of ``syncline.ports.Target``, each as a test."""
