"""Dual writes: MongoDB first, PostgreSQL in the same call under a deadline, or by the worker; nothing is forgotten.

    from syncline.phases.dual_write import DualWriteService

See ``docs/how-to/dual-write.md``.
"""

from syncline.config.dual_write import DualWriteSettings
from syncline.phases.dual_write.audit import AuditRule, acting_as
from syncline.phases.dual_write.blocking import DualWriteService, EnhancedDualWriteService
from syncline.phases.dual_write.enhanced import AsyncEnhancedDualWriteService
from syncline.phases.dual_write.metadata import SyncMetadata, SyncStatus
from syncline.phases.dual_write.operations import BatchResult, OperationResult
from syncline.phases.dual_write.service import AsyncDualWriteService

__all__ = [
    "AsyncDualWriteService",
    "AsyncEnhancedDualWriteService",
    "AuditRule",
    "BatchResult",
    "DualWriteService",
    "DualWriteSettings",
    "EnhancedDualWriteService",
    "OperationResult",
    "SyncMetadata",
    "SyncStatus",
    "acting_as",
]
