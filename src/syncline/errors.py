"""Every error Syncline raises: what happened, what to do next, and whether trying again can help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class SynclineError(Exception):
    """Syncline could not do what it was asked to do."""

    retryable = False
    """Whether the same call can succeed later without anybody changing anything."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n")[0]
        self.hint = hint
        super().__init__(self.message if hint is None else f"{self.message}\n  {hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as it is, whatever its constructor takes."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[SynclineError], args: tuple[Any, ...], state: Mapping[str, Any]) -> SynclineError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(SynclineError):
    """The configuration is not valid."""


class MappingError(SynclineError):
    """An entity cannot be mapped from its table to documents."""


class CommandNeededError(MappingError):
    """An entity waits for a command, which the hint names: there is nothing to correct."""


class DeclarationError(MappingError):
    """A collection's declaration contradicts itself."""

    def __init__(self, message: str, *, hint: str | None = None, setting: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.setting = setting
        """Where it stands, below the collection."""


class KeyFormatError(MappingError):
    """The text is not a key of the entity."""


class UnmappableError(MappingError):
    """A document cannot become rows, or rows cannot become a document; the message names the field."""

    def __init__(self, path: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {reason}", hint=hint)
        self.path = path


class NotInstalledError(SynclineError):
    """Syncline is not installed in this database."""


class DamagedError(NotInstalledError):
    """Something of Syncline's own schema is missing in this database."""


class VersionError(SynclineError):
    """The schema in the database belongs to another version of Syncline."""


class CaptureError(SynclineError):
    """A change could not be captured; its transaction must not commit."""


class UnseenWriteError(CaptureError):
    """The statement changes rows that the session hook cannot see."""


class UnmarkableError(CaptureError):
    """A collection that marks its documents cannot do this with a mark."""


class OperationError(SynclineError, ValueError):
    """A call of the dual write service cannot be done with any document."""


class RefusedDocumentError(SynclineError):
    """MongoDB does not take the document: a validator, a unique index, a value that BSON lacks; nothing is written."""


class ConditionError(SynclineError):
    """The condition is no SQL condition over the table."""


class StalePlanError(SynclineError):
    """The tables are not what they were when the entities were compiled."""

    retryable = True

    def __init__(self, message: str, *, entity: int | None = None) -> None:
        super().__init__(message)
        self.entity = entity
        """The one whose records could not be read."""


class UnreadableError(SynclineError):
    """Some record among those that were asked for cannot be read, or not now: its table is locked."""


class SpentEpochError(SynclineError):
    """The batch numbers of this session are used up: the next one has new epochs, and counts from 1."""

    retryable = True


class TaskDroppedError(SynclineError):
    """A task would fail again and again, and was dropped."""


class ReverseServesError(SynclineError):
    """The work would write over, or delete, what the link that goes back has not brought yet."""


class NobodyDrainsError(SynclineError):
    """The queue is full and no worker is running."""


class KeyFileError(SynclineError):
    """Lines of the file are no keys."""


class TokenError(SynclineError, ValueError):
    """A text is not a read-your-writes token."""


class CacheUnavailableError(SynclineError):
    """The cache's store does not answer."""

    retryable = True


class LoadCancelledError(SynclineError):
    """The load was cancelled from within."""

    retryable = True


class RowError(SynclineError):
    """No row could be made for a table."""


class PassLostError(SynclineError):
    """Somebody else goes on with this verification: this process was silent for too long."""

    retryable = True


class UnlikeWorkerError(SynclineError):
    """Whoever was given a part of the work has another release of Syncline, or another configuration."""


class WorkerLostError(SynclineError):
    """Whoever was given a part of the work has ended, hangs, or cannot be reached."""


class PrivilegeError(SynclineError):
    """The database role lacks a privilege that Syncline needs."""


class SourceError(SynclineError):
    """The source database refused a statement."""

    of_records = False
    """It failed for what it read (a value, an expression at a row), not for what it is."""
    internal = False
    """The database calls it an error of its own: something is damaged, or its catalog has just changed."""
    of_our_tables = False
    """A rule that somebody has put on Syncline's own tables is in the way."""
    unsayable = False
    """The database's encoding has no bytes for what was asked: no row can have it."""


class TableLockedError(SourceError):
    """Somebody else holds a lock on the table, and had not let it go in time."""


class SourceUnavailableError(SourceError):
    """The source database cannot be reached."""

    retryable = True


class LostTokenError(SourceError):
    """What was changed meanwhile is not told any more: everything has to be marked."""


class PoolerError(SourceError):
    """A connection pooler stands between Syncline and the source, in a mode in which it cannot work."""


class UnsuitableSourceError(SourceError):
    """The server is too old to be a source."""


class HinderedError(SourceUnavailableError):
    """Something that somebody has put on Syncline's own tables refuses what a worker writes."""


class SourceChangedError(SourceError):
    """The source is no longer the server that this worker knew: restarted, failed over or restored."""

    retryable = True


class OvertakenError(SourceError):
    """Somebody else installed since this installation was planned; what was done stays."""

    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"somebody else installed at the same time: {reason}", hint="run it again, it goes on from here"
        )


class PartlyDoneError(SourceError):
    """Some tables were locked by others for too long; what was done stays, and the next run goes on from there."""

    retryable = True

    def __init__(self, waiting: Sequence[Any], *, command: str = "syncline install") -> None:
        tables = "\n  ".join(map(str, waiting))
        super().__init__(
            f"not all could be done, these tables are locked by others:\n  {tables}",
            hint=f"when they have finished: `{command}`, which goes on from here",
        )
        self.waiting = tuple(waiting)


class TargetError(SynclineError):
    """The target database refused an operation."""


class TargetUnavailableError(TargetError):
    """The target database cannot be reached or cannot write at present."""

    retryable = True


class TargetRefusedError(TargetUnavailableError):
    """The target refuses to work, whatever it is given: a missing privilege, a full disk, no primary."""


class TargetGateError(TargetRefusedError):
    """A gate lets a link's batch not in: nothing of it is written, no record is to blame, and it is read again."""

    def __init__(self, message: str | None = None, *, gate: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.gate = gate


class LaneLostError(TargetUnavailableError):
    """Lanes of a batch have to be acquired anew: they are another worker's, or what became of the batch is unknown."""

    def __init__(self, message: str | None = None, *, lanes: Iterable[int] = (), unknown: bool = False) -> None:
        super().__init__(message)
        self.lanes = frozenset(lanes)
        self.unknown = unknown
        """It may be written, now or later: nothing may be sent again under these epochs."""


class CopyError(SynclineError):
    """Tables cannot be copied."""


class RejectedRowError(CopyError):
    """The target refuses a row of a table that is copied."""


class TooOldError(TargetError):
    """The batch was held up for so long that its states may not be sent any more."""

    retryable = True


class OtherDeclarationError(TargetError):
    """Rows of a collection are of another declaration: read back under this one they would lose values."""


class ForeignTargetError(TargetError):
    """The target belongs to another source."""


class RestoredError(TargetError):
    """A side of a document link was restored from a backup: what it has is older than what was carried."""


class UnsuitableTargetError(TargetError):
    """The server is no MongoDB, or a collection cannot be a target."""


class DamagedRecordError(UnsuitableTargetError):
    """A record of Syncline's own in the target is not what was written: somebody else has changed it."""


class DamagedDocumentError(TargetError):
    """Documents that were asked for cannot be decoded."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        damaged: Sequence[tuple[Any, str]] = (),
        documents: Sequence[Any] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.damaged = list(damaged)
        """The ``_id`` of each, and why."""
        self.documents = list(documents)
        """The others, in their order."""


class NamedDatabaseError(SynclineError):
    """A named database cannot be used as it is configured."""


class NamedDatabaseUnavailableError(NamedDatabaseError):
    """A named database cannot be reached."""

    retryable = True


class MigrationError(SynclineError):
    """A migration cannot be written, read or applied."""


class UnrenderedError(MigrationError):
    """A revision does more than can be written as SQL."""


class SchemaMoveError(SynclineError):
    """The schema of tables cannot be moved to another database."""


class RowsInTheWayError(SchemaMoveError):
    """Rows that are there break a rule that is about to be made."""

    retryable = True


class BackupError(SynclineError):
    """A backup cannot be made, read or restored."""


class DamagedBackupError(BackupError):
    """A backup is not what was stored."""


class RoutingError(SynclineError):
    """A statement cannot be sent to a database."""


class UnknownTableError(RoutingError):
    """No rule says in which database the table is."""


class WrongDatabaseError(RoutingError):
    """The statement belongs to another database."""

    def __init__(self, message: str | None = None, *, hint: str | None = None, right: str = "") -> None:
        super().__init__(message, hint=hint)
        self.right = right
        """The name of the database to which it belongs."""


class AcrossDatabasesError(RoutingError):
    """One statement touches tables of several databases."""


class SecondDatabaseError(RoutingError):
    """One transaction writes to several databases."""


class SwitchError(SynclineError):
    """The switch of a move could not be done."""


class NotMovingError(SwitchError):
    """There is no move of these tables in this database."""


class SwitchStuckError(SwitchError):
    """The side that has the truth could not be opened yet; it is tried again."""


class SupersededError(SwitchError):
    """Another coordinator is in charge of the switch."""

    retryable = True


class SwitchAbortedError(SwitchError):
    """The switch took longer than writers may be paused; the side that served serves again."""

    retryable = True


class RehearsalError(SwitchError):
    """A step of a rehearsal has failed; nothing that serves is touched."""


class GateClosedError(SwitchError):
    """The tables are changing sides, and no side has accepted the transaction in time; nothing of it is written."""

    retryable = True


class MovedError(SwitchError):
    """The tables live in another database than the one that this process knows."""


class UnknownOutcomeError(SwitchError):
    """The connection was lost while the transaction was being committed: it may be written, or not."""


class PhaseError(SynclineError):
    """A collection's phase of the migration does not allow this."""


class PhaseUnknownError(PhaseError):
    """Which phase a collection is in is not known at present."""

    retryable = True


class RepositoryError(SynclineError):
    """A repository cannot do what it was asked for."""


class AlreadyThereError(RepositoryError):
    """There is a document of this id, or of this value where there may be only one, already."""

    def __init__(self, field: str | None = None) -> None:
        super().__init__(f"there is a document with this {field} already" if field else None)
        self.field = field
        """The path of what is there already; ``None``: the database did not say it."""


class EngineError(SynclineError):
    """An embedded database engine could not be provided or started."""


class ConsentError(EngineError):
    """The engine's licence has not been accepted."""
