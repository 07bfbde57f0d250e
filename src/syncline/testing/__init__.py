"""For your own tests: is a write captured, trouble on demand, and the contract that every target keeps.

The contracts need pytest; import them from ``syncline.testing.contract`` and ``syncline.testing.repositories``.
"""

from syncline.testing.captured import Change, captured
from syncline.testing.faults import FaultyTarget, Held

__all__ = ["Change", "FaultyTarget", "Held", "captured"]
