"""The percentage of a ramp from a feature flag: OpenFeature, with whatever provider the application uses.

See ``docs/how-to/ramp-by-a-flag.md``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from syncline.errors import ConfigError
from syncline.forking import after_fork
from syncline.phases.epoch import kept
from syncline.phases.phase import Phase, Phases, ramped

try:
    from openfeature import api
    from openfeature.client import OpenFeatureClient
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import ErrorCode
except ImportError as error:  # pragma: no cover
    raise ConfigError("feature flags need openfeature-sdk", hint="pip install 'syncline[flags]'") from error

_LOG = logging.getLogger("syncline.phases.ramp")
_NONE = -1.0


class FlaggedRamp:
    """Phases whose ramps go by feature flags; everything else is as the phases say.

    A flag is a number, the percentage, named ``syncline-ramp-COLLECTION``. Which keys are among the percent is ours to
    say, so that they are the same for every flag, in every process. No read waits for a provider: a thread asks it.
    While it does not answer, or says what is no percentage, the last one holds; before the first answer, nothing is
    PostgreSQL's.

    Args:
        phases: says how far each collection has come.
        client: of OpenFeature; by default the application's.
        flag: makes the flag's name.
        every: how often the provider is asked.

    """

    def __init__(
        self,
        phases: Phases,
        *,
        client: OpenFeatureClient | None = None,
        flag: Callable[[str], str] = "syncline-ramp-{}".format,
        every: timedelta = timedelta(seconds=1),
    ) -> None:
        self._phases, self._flag = phases, flag
        self._client = client or api.get_client()
        self._every = every.total_seconds()
        self._percents: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self._ended = threading.Event()
        self._forked()
        after_fork(self._forked)

    def _forked(self) -> None:
        """Begin anew with the next question: the thread is the parent's, and it may have had the lock."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def of(self, collection: str) -> Phase:
        """Give the phase of a collection.

        Raises:
            PhaseError: nothing is known of it.

        """
        return self._phases.of(collection)

    def reads_postgresql(self, collection: str, key: str) -> bool:
        """Tell whether a read is PostgreSQL's: during a ramp by the flag."""
        if self._phases.of(collection) is not Phase.RAMP:
            return self._phases.reads_postgresql(collection, key)
        return ramped(key, kept((self, collection), self.percent(collection)))

    def percent(self, collection: str) -> float:
        """Give the percentage that holds."""
        found = self._percents.get(collection)
        if found is None or self._thread is None or not self._thread.is_alive():
            found = self._begin(collection)
        return found

    def refresh(self) -> None:
        """Ask the provider now, for each collection that was read."""
        for collection in list(self._percents):
            if (found := self._asked(collection)) is not None:
                self._percents[collection] = found

    def close(self) -> None:
        """End the thread."""
        self._ended.set()

    def _begin(self, collection: str) -> float:
        with self._lock:
            self._percents.setdefault(collection, 0.0)
            if not self._ended.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="syncline-ramp", daemon=True)
                self._thread.start()
        return self._percents[collection]

    def _run(self) -> None:
        self.refresh()
        while not self._ended.wait(self._every):
            self.refresh()

    def _asked(self, collection: str) -> float | None:
        flag = self._flag(collection)
        try:
            value, why = self._evaluated(flag, EvaluationContext(collection))
        except Exception as error:  # noqa: BLE001  whatever a provider or hook raises
            value, why = _NONE, repr(error)
        if not why and not 0 <= value <= 100:
            why = f"{value} is no percentage from 0 to 100"
        if not why:
            self._said.pop(flag, None)
            return float(value)
        if self._said.get(flag) != why:
            self._said[flag] = why
            _LOG.warning("the flag %s gives no percentage, the last one holds: %s", flag, why)
        return None

    def _evaluated(self, flag: str, context: EvaluationContext) -> tuple[float, str]:
        """Ask for a number: of 12.5 some providers say that it is no integer, of 12 others that it is no float."""
        found = self._client.get_float_details(flag, _NONE, context)
        if found.error_code is ErrorCode.TYPE_MISMATCH:
            found = self._client.get_integer_details(flag, int(_NONE), context)
        if found.error_code is not None or found.value == _NONE:
            return _NONE, found.error_message or str(found.error_code or found.reason)
        return found.value, ""
