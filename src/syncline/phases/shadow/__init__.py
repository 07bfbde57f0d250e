"""Shadow reads: beside each answer of the truth the other side's answer is read and compared, off the request's path.

Usable alone: nothing here knows of phases, MongoDB or PostgreSQL. See ``docs/how-to/shadow-reads.md``.
"""

from syncline.phases.shadow.blocking import BlockingShadowReads
from syncline.phases.shadow.differences import Difference
from syncline.phases.shadow.reads import ShadowReads
from syncline.phases.shadow.report import Mismatch, Outcome, Report, Totals
from syncline.phases.shadow.rules import Read, Rules, Standing, Standings

__all__ = [
    "BlockingShadowReads",
    "Difference",
    "Mismatch",
    "Outcome",
    "Read",
    "Report",
    "Rules",
    "ShadowReads",
    "Standing",
    "Standings",
    "Totals",
]
