"""For your own tests: trouble on demand, and the contract that every target keeps.

The contract needs pytest; import it from ``syncline.testing.contract``.
"""

from syncline.testing.faults import FaultyTarget, Held

__all__ = ["FaultyTarget", "Held"]
