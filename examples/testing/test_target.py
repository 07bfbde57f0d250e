import pytest

from syncline.engines.memory import MemoryTarget
from syncline.testing.contract import TargetContract


class TestMemoryTarget(TargetContract):
    @pytest.fixture
    async def target(self):
        target = MemoryTarget()
        yield target
        await target.close()

    async def put_foreign(self, target, entity, record):
        target.store(entity, record)
