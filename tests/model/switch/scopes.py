"""Explorations of the switch: the design holds in each of them, and each mutant has a counterexample."""

from __future__ import annotations

from dataclasses import replace

from tests.model.switch.scope import SwitchScope

SWITCH = SwitchScope(about="a switch, 2 processes, 2 writes, a crash or freeze")
THERE_AND_BACK = SwitchScope(about="a switch and its way back, 2 writes", goals=2, faults=0)
BACK = SwitchScope(about="a switch or its way back, a crash or freeze, 1 write", goals=2, writes=1)
MARKED = SwitchScope(about="there and back, a mark without a change", goals=2, faults=0, spurious=1)
EARLY = SwitchScope(about="a transaction that began before the opening is refused", gate="refused", faults=0)

SMALL: dict[str, SwitchScope] = {
    "switch: there": SWITCH,
    "switch: there and back": THERE_AND_BACK,
    "switch: back, a crash": BACK,
    "switch: marks": replace(MARKED, writes=1),
    "switch: early": EARLY,
}
"""Explored by every run of the tests."""

LARGE: dict[str, SwitchScope] = {
    "switch: two crashes": SwitchScope(about="switch or back, 2 writes, 2 crashes or freezes", goals=2, faults=2),
    "switch: thrice": SwitchScope(about="switch, back and again, 2 writes, a crash or freeze", goals=3),
    "switch: marks, 2 writes": MARKED,
    "switch: marks, a crash": SwitchScope(about="marks without a change, a crash or freeze", goals=2, spurious=1),
    "switch: three processes": SwitchScope(about="3 processes, 3 writes, a crash or freeze", processes=3, writes=3),
    "switch: early, a crash": replace(EARLY, faults=1),
    "switch: untagged": replace(MARKED, about="the link's writes are captured: safe, not needed", tagged=False),
}
"""Explored by ``make model``."""

_QUICK = replace(SWITCH, faults=0)
_LATE = SwitchScope(goals=2)
_STUCK = (
    "switch: nobody takes over",
    "switch: a closed side counts as the link's",
    "switch: the link's before the number",
)
"""What stops for ever without them."""

MUTANTS: dict[str, SwitchScope] = {
    name: replace(scope, about=name, livelocks=name in _STUCK)
    for name, scope in {
        "switch: no lock": replace(_QUICK, gate="unlocked"),
        "switch: the transaction's own snapshot": replace(_QUICK, gate="snapshot"),
        "switch: older than the opening, and accepted": replace(EARLY, gate="early"),
        "switch: numbers are not compared": replace(_LATE, numbers=False),
        "switch: the other side does not note the number": replace(_LATE, numbers_other_side=False),
        "switch: turns back under the same number": replace(THERE_AND_BACK, new_number_to_turn_back=False),
        "switch: nobody takes over": replace(SWITCH, takeover=False, writes=1),
        "switch: the queue before the closing": replace(_QUICK, closes_first=False),
        "switch: not drained": replace(_QUICK, drains=False),
        "switch: an abort drains": replace(MARKED, opened_tells=False),
        "switch: a closed side takes the link's writes": replace(MARKED, closed_to_link=False),
        "switch: the link does not ask": replace(MARKED, link_asks="nothing"),
        "switch: the link asks for the mode alone": replace(MARKED, link_asks="mode"),
        "switch: captured by the link back": replace(THERE_AND_BACK, captured=False),
        "switch: a closed side counts as the link's": SwitchScope(goals=3, writes=1, faults=0, is_links="or closed"),
        "switch: the link's before the number": SwitchScope(goals=3, writes=1, is_links="as read"),
        "switch: sequences stay": replace(_QUICK, sequences="never"),
        "switch: sequences read before the closing": replace(_QUICK, sequences="before closing"),
    }.items()
}
"""The design without one mechanism."""
