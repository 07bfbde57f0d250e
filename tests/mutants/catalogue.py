"""The mutants: which mechanism is taken out, how, and which tests must notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutants.anchor import DoesNotApplyError, Swap

REPOSITORIES = "syncline/phases/repositories"
RELAY, JOURNAL, MONGO = "syncline/relay", "syncline/journal", "syncline/engines/mongo"
POSTGRES = "syncline/engines/postgres"
VERIFICATION = f"{POSTGRES}/verification"
TESTS = "tests/integration"
IN_REPOSITORIES = f"{TESTS}/test_repositories.py"
IN_PHASES = f"{TESTS}/test_phases.py"
SAID = '{NUMBER: {"$max": [f"${NUMBER}", Int64(number)]}} if number else {}'
READ_BACK = "tests/unit/test_dual_writes_of_repositories.py"
VALIDATED = f"{TESTS}/test_phase_validator.py"
OF_SEVERAL = "test_of_several_servers_the_primary_is_asked_and_a_standby_alone_is_refused_by_name"
SIDES, CHANGES_SIDES = "syncline/phases/switching", f"{TESTS}/test_phase_switch.py"
SERVED = f"{TESTS}/test_phase_switch_served.py"
DATABASES_OF_DOCUMENTS = "tests/unit/test_document_databases.py"
PROTOCOL = f"{TESTS}/test_relay_protocol.py"
BLOCKS = f"{TESTS}/test_blocks.py"
UNDER_WAY = "tests/unit/test_blocks_under_way.py"
BASICS = f"{TESTS}/test_relay_basics.py"
BAD = f"{TESTS}/test_relay_rejections.py"
UNIQUE = f"{TESTS}/test_relay_unique.py"
OUTAGES = f"{TESTS}/test_relay_outages.py"
RESTORES = f"{TESTS}/test_relay_restores.py"
WORKERS = f"{TESTS}/test_relay_workers.py"
SIGNALS = "tests/cases/test_signals_notices.py"
STOP = "tests/cases/test_signals_stop.py"
WAKES = "tests/cases/test_wakes.py"
RESTS = f"{TESTS}/test_relay_rest.py"
TURNS = f"{TESTS}/test_relay_turns.py"
REJECTED = "tests/cases/test_rejected_records.py"
CROWDS = "tests/cases/test_crowds.py"
NEIGHBOURS = "tests/cases/test_neighbours.py"
RECORDS = "tests/cases/test_damaged_records.py"
DECLARED = "tests/cases/test_declaration.py"
COPIES = "tests/cases/test_copies.py"
STALE = "tests/cases/test_stale_writes.py"
EXPLAIN = "tests/cases/test_explain.py"
NOTICES = "tests/cases/test_signals_notices.py"
UPGRADE = "tests/integration/test_upgrade_live.py"
POOLERS = "tests/cases/test_poolers.py"
CONTRACT = f"{TESTS}/test_target_contract.py::TestMongoTarget"
ROWS_CONTRACT = f"{TESTS}/test_target_contract.py::TestSqlTarget"
SCHEMA = "tests/cases/test_schema_changes.py"
OURS = "tests/cases/test_our_schema.py"
OURS_SAID = "tests/cases/test_our_schema_said.py"
VIEW = "tests/cases/test_view_for_people.py"
DIFFERING = "tests/cases/test_differing_file.py"
NEW = "tests/cases/test_new_columns.py"
WRITES = "tests/cases/test_writes_go_on.py"
ENDURE = "tests/cases/test_triggers_endure.py"
MENDING = "tests/cases/test_mending.py"
SESSIONS = "tests/unit/test_session_cache.py"
REVOCATIONS = "tests/integration/test_session_revocations.py"
ODD = "tests/cases/test_odd_documents.py"
BACKUP = "tests/cases/test_backup.py"
MIGRATIONS = "tests/cases/test_migrations.py"
FAILING = "tests/cases/test_failing_conditions.py"
MOVED = f"{TESTS}/test_split_schema.py"
ALTERED = f"{TESTS}/test_split_schema_changes.py"
SQL = "syncline/engines/postgres/target"
SQL_FENCE = f"{TESTS}/test_sql_target_fence.py"
SQL_RELAY = f"{TESTS}/test_sql_target_relay.py"
TARGET_KEYS = "tests/cases/test_target_keys.py"
SQL_VERIFY = f"{TESTS}/test_sql_target_verify.py"
IN_PARTS = "tests/unit/test_verify_in_parts.py"
DOCUMENT_PARTS = f"{TESTS}/test_document_parts.py"
EXECUTING = "tests/unit/test_executing.py"
BACKFILL_PROCESSES = f"{TESTS}/test_backfill_processes.py"
VERIFY_PROCESSES = f"{TESTS}/test_verify_processes.py"
SQL_ROWS = f"{TESTS}/test_sql_target_rows.py"
ENTERED_FIRST = (
    "await connection.execute(self._control.enter, self._control.entering(lanes, admission))\n"
    "for statement, values in parts:\n    await connection.execute(statement, values)"
)
ENTERED_LAST = (
    "for statement, values in parts:\n    await connection.execute(statement, values)\n"
    "await connection.execute(self._control.enter, self._control.entering(lanes, admission))"
)
WAITED_AGAIN = "self._waits[record] = self._waits.get(record, 0) + 1"
IN_THE_WAY = "tests/unit/test_rows_in_the_way.py"
SWITCH = "syncline/split/switching"
AS_ROWS = "syncline/model/documents"
BOTH_WAYS = "tests/unit/test_documents.py"
FATES = "tests/unit/test_bson_types.py"
IN_TABLES = f"{TESTS}/test_document_tables.py"
DOCUMENTS = "syncline/capture/documents"
MARKED = f"{TESTS}/test_marked_collections.py"
BACK = "tests/integration/test_way_back.py"
REOPENED = f"{TESTS}/test_phase_reopening.py"
COPIED = f"{TESTS}/test_document_link_copies.py"
TOMBSTONES = f"{TESTS}/test_phase_tombstones.py"
REFERENCES = f"{TESTS}/test_document_references.py"
PUMP = f"{TESTS}/test_document_pump.py"
FOLLOWING = f"{TESTS}/test_document_following.py"
CHANGES = f"{TESTS}/test_document_changes.py"
DOCUMENT_TROUBLE = f"{TESTS}/test_document_trouble.py"
DOCUMENT_COMMANDS = f"{TESTS}/test_document_bulk_commands.py"
DOCUMENT_COPY, DOCUMENT_VERIFY = f"{TESTS}/test_document_copy.py", f"{TESTS}/test_document_verify.py"
VERIFY_GOES_ON = "tests/integration/test_document_verify_goes_on.py"
LINK_COMMANDS = f"{TESTS}/test_document_commands.py"
INLINE = "tests/integration/test_dual_write_inline.py"
AUDIT = "tests/integration/test_dual_write_audit.py"
NOTED = "tests/integration/test_dual_write_noted.py"
IN_LIVE = "tests/integration/test_dual_write_in_live.py"
ROWS_OF_DOCUMENTS = f"{POSTGRES}/documents"
MOVING, MOVE = "syncline/split/moving", f"{TESTS}/test_split_move.py"
EVIDENCE = f"{TESTS}/test_split_evidence.py"
PROBED = "test_the_way_back_of_each_table_is_tried_before_a_switch_and_leaves_nothing_behind"
NEW_COLUMNS = f"{TESTS}/test_split_new_columns.py"
GATE = f"{TESTS}/test_switch_gate.py"
VERIFIED, RESTORED = f"{TESTS}/test_verified_token.py", f"{TESTS}/test_restored_sides.py"
COORDINATOR = f"{TESTS}/test_switch_coordinator.py"
APPLICATIONS = f"{TESTS}/test_switch_applications.py"
HANGING, BESIDE = f"{TESTS}/test_switch_hanging.py", f"{TESTS}/test_split_move_beside.py"
COPYING = f"{POSTGRES}/copying"
COPY = f"{TESTS}/test_copy.py"
ONE_LINK = "tests/cases/test_one_link_a_table.py"
RIGHT_SIDE = "tests/cases/test_right_side.py"


@dataclass(frozen=True)
class Mutant:
    """A mechanism taken out."""

    name: str
    says: str
    """What is done wrong."""
    swaps: Sequence[Swap]
    tests: Sequence[str]
    """Each of these must turn red."""
    quick: bool = False
    """Part of ``make test``."""

    @property
    def files(self) -> set[str]:
        """The files that it changes."""
        return {swap.file for swap in self.swaps}

    def applied(self, file: str, text: str) -> str:
        """Change a file's text.

        Raises:
            DoesNotApplyError: a place is not there exactly once.

        """
        for swap in self.swaps:
            if swap.file == file:
                try:
                    text = swap.applied(text)
                except DoesNotApplyError as error:
                    raise DoesNotApplyError(f"mutant {self.name}: {error}") from None
        return text


MUTANTS: Sequence[Mutant] = (
    # -- the order of a batch: marks, ticket, state, write, acknowledgement
    Mutant(
        "state-before-mark",
        "marks that came after the state was read are acknowledged with it",
        [
            Swap(
                f"{RELAY}/planner.py",
                "Planner._fill",
                "read, bad = await self._states(plan, keys, apart=apart)",
                "read, bad = await self._states(plan, keys, apart=apart)\n"
                "late = await self._source.marks.read(after=0, lanes=-1, limit=10000)\n"
                "late = [mark for mark in late if mark[2] == plan.id and mark[3] in keys]\n"
                "work.marks = sorted({*work.marks, *late})",
            )
        ],
        [f"{PROTOCOL}::test_g2_a_change_after_the_states_were_read_is_not_lost"],
        quick=True,
    ),
    Mutant(
        "acknowledged-by-key",
        "every mark of a written key is removed, also those that were not read",
        [
            Swap(
                f"{JOURNAL}/acknowledge.sql",
                "done",
                "WHERE o.seq = ANY(%(seqs)s::bigint[]) AND",
                "WHERE (o.entity, o.key) IN (SELECT x.entity, x.key FROM syncline.outbox AS x"
                " WHERE x.seq = ANY(%(seqs)s::bigint[])) AND",
            )
        ],
        [
            f"{PROTOCOL}::test_g2_a_change_after_the_states_were_read_is_not_lost",
            f"{PROTOCOL}::test_g2_a_change_while_the_batch_is_written_is_not_lost",
        ],
    ),
    Mutant(
        "remainder-lost",
        "a block goes when a part of it is acknowledged",
        [Swap(f"{JOURNAL}/acknowledge.sql", "parts", "WHERE NOT done GROUP BY", "WHERE false GROUP BY")],
        [f"{BLOCKS}::test_what_is_acknowledged_of_a_block_goes_and_the_rest_waits_as_it_was"],
        quick=True,
    ),
    Mutant(
        "remainder-as-it-was-read",
        "of two that acknowledge parts of a block the second puts back what the first has removed",
        [Swap(f"{JOURNAL}/acknowledge.sql", "parts", "FOR UPDATE OF b", "")],
        [f"{BLOCKS}::test_of_two_that_acknowledge_parts_at_once_each_leaves_what_the_other_has_left"],
    ),
    Mutant(
        "blocks-without-lease",
        "whole blocks are removed under a lease that is lost",
        [Swap(f"{JOURNAL}/acknowledge.sql", "whole", "AND b.lane IN (SELECT lane FROM held)", "")],
        [f"{BLOCKS}::test_a_block_stays_as_it_is_when_the_lease_is_lost"],
    ),
    Mutant(
        "parts-without-lease",
        "parts of blocks are removed under a lease that is lost",
        [Swap(f"{JOURNAL}/acknowledge.sql", "parts", "AND b.lane IN (SELECT lane FROM held)", "")],
        [f"{BLOCKS}::test_a_block_stays_as_it_is_when_the_lease_is_lost"],
    ),
    Mutant(
        "history-without-blocks",
        "of blocks that were done whole nothing is remembered",
        [
            Swap(
                f"{JOURNAL}/acknowledge.py",
                "_statement",
                '("single", "whole", "parts")',
                '("single", "parts")',
            )
        ],
        [f"{BLOCKS}::test_parts_whole_blocks_and_single_marks_are_acknowledged_together"],
    ),
    Mutant(
        "part-taken-for-the-whole",
        "of a block with a key that is under way all goes with the others",
        [
            Swap(
                "syncline/model/mark.py",
                "Mark.parted",
                "self._replace(keys=stays, whole=False)",
                "self._replace(keys=stays)",
            )
        ],
        [f"{UNDER_WAY}::test_what_is_under_way_is_left_of_a_block_and_found_again"],
    ),
    Mutant(
        "two-writes-of-a-key-of-a-block",
        "a key of a block is taken while it is under way",
        [
            Swap(
                f"{RELAY}/underway.py",
                "UnderWay._free_part",
                "busy = self._keys[entity].intersection(keys)",
                "busy = set()",
            )
        ],
        [f"{UNDER_WAY}::test_what_is_under_way_is_left_of_a_block_and_found_again"],
    ),
    Mutant(
        "key-of-a-block-forgotten",
        "a key of a block that was passed over is not looked for again",
        [
            Swap(
                f"{RELAY}/underway.py",
                "UnderWay._free_part",
                "self.skipped = self.skipped or not busy <= self._parts.get(block.seq, _NOTHING)",
                "",
            )
        ],
        [f"{UNDER_WAY}::test_what_is_under_way_is_left_of_a_block_and_found_again"],
    ),
    Mutant(
        "reading-goes-on-behind-what-it-left",
        "the next read begins behind marks for which there was no room between blocks",
        [
            Swap(
                f"{POSTGRES}/states.py",
                "as_marks",
                "end = min(ends, default=rows[-1][0])",
                "end = rows[-1][0]",
            )
        ],
        [f"{UNDER_WAY}::test_marks_end_where_rows_or_blocks_were_cut_off"],
    ),
    Mutant(
        "blocks-for-the-release-before",
        "triggers make blocks while a worker of the release before may have lanes",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "now",
                "FOUND AND syncline.in_blocks()",
                "FOUND",
            )
        ],
        [f"{BLOCKS}::test_the_release_before_is_given_single_marks"],
    ),
    Mutant(
        "numbers-above-the-drawn",
        "the keys of a block have numbers that nobody has drawn yet",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "blocks",
                "b.seq - cardinality(b.keys) + 1, b.seq FROM",
                "b.seq, b.seq + cardinality(b.keys) - 1 FROM",
            )
        ],
        [f"{BLOCKS}::test_one_number_is_drawn_for_a_block_and_no_key_has_one_above_it"],
    ),
    Mutant(
        "keys-between-parts",
        "of a lane with more keys than a block has, the last of each part is left out",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "blocks",
                "(part + 1) * l.each]",
                "(part + 1) * l.each - 1]",
            )
        ],
        [f"{BLOCKS}::test_a_statement_is_taken_in_slices_and_blocks_are_bounded"],
    ),
    Mutant(
        "blocks-lane-by-lane",
        "blocks are numbered lane by lane: those that are read together have keys from all over the table",
        [Swap("syncline/capture/postgres/triggers.sql", "blocks", "ORDER BY part", "ORDER BY lane")],
        [f"{BLOCKS}::test_blocks_of_neighbouring_numbers_have_keys_of_neighbouring_rows"],
    ),
    Mutant(
        "gaps-forgotten",
        "what is left of a block gets numbers that follow each other, whatever was acknowledged between them",
        [
            Swap(
                f"{JOURNAL}/acknowledge.sql",
                "parts",
                "CASE WHEN r.last - r.first + 1 = r.size THEN '{}' ELSE r.seqs END",
                "'{}'",
            )
        ],
        [f"{BLOCKS}::test_what_is_acknowledged_of_a_block_goes_and_the_rest_waits_as_it_was"],
    ),
    Mutant(
        "floor-above-the-first-mark",
        "a number that nobody has drawn yet counts as drawn",
        [
            Swap(
                f"{JOURNAL}/queries.sql",
                "drawn",
                "s.is_called AND d.seqcache = 1",
                "d.seqcache = 1",
            )
        ],
        [f"{BLOCKS}::test_the_floor_is_below_the_first_mark_ever"],
    ),
    Mutant(
        "floor-above-cached-numbers",
        "marks of sessions that drew their numbers ahead are passed over",
        [Swap(f"{JOURNAL}/queries.sql", "drawn", "s.is_called AND d.seqcache = 1", "s.is_called")],
        [f"{BLOCKS}::test_no_floor_is_above_numbers_that_sessions_keep_for_later"],
    ),
    Mutant(
        "one-slice-again-and-again",
        "of a statement with very many rows only the first are marked",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "slice",
                "OFFSET {turn} * {slice} LIMIT",
                "OFFSET 0 * {slice} LIMIT",
            )
        ],
        [f"{BLOCKS}::test_a_statement_is_taken_in_slices_and_blocks_are_bounded"],
    ),
    Mutant(
        "moved-unseen",
        "an update of many rows takes it that no key has moved",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "blocks_of_updated",
                "keys_before IS DISTINCT FROM keys_now",
                "false",
            )
        ],
        [f"{BLOCKS}::test_a_bulk_update_marks_the_one_key_that_has_moved"],
    ),
    Mutant(
        "moved-in-the-first-slice",
        "of the keys that a statement with very many rows takes away only the first are marked",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "blocks_gone",
                "FOR turn IN 0 .. turns - 1 LOOP",
                "FOR turn IN 0 .. 0 LOOP",
            )
        ],
        [f"{BLOCKS}::test_a_statement_is_taken_in_slices_and_blocks_are_bounded"],
    ),
    Mutant(
        "token-blind-to-blocks",
        "a transaction counts as synced while its keys wait in blocks",
        [
            Swap(
                "syncline/tokens/freshness.sql",
                "freshness",
                "OR EXISTS (SELECT FROM blocks WHERE tx = ANY(CAST(%(txs)s AS xid8[])))",
                "",
            )
        ],
        [f"{BLOCKS}::test_a_token_is_synced_when_none_of_its_keys_waits"],
    ),
    Mutant(
        "lost-session-forgotten",
        "what a lost session had sent is not marked again",
        [Swap(f"{RELAY}/worker.py", "Worker._serve", "pump.in_flight.unfinished()", "{}")],
        [
            "tests/integration/test_relay_late.py::test_a_write_that_was_under_way_when_the_session_was_lost_is_made_good"
        ],
    ),
    Mutant(
        "promotion-not-noticed",
        "a source on another timeline is taken for the one that was known",
        [Swap(f"{RELAY}/restores.py", "judge_beat", "'forked' if lasting else 'promoted'", "None")],
        ["tests/integration/test_relay_rollout.py::test_a_promoted_source_is_reconciled"],
    ),
    Mutant(
        "ticket-after-state",
        "the ticket is drawn after the state was read",
        [
            Swap(
                f"{RELAY}/planner.py",
                "Planner._fill",
                "read, bad = await self._states(plan, keys, apart=apart)",
                "read, bad = await self._states(plan, keys, apart=apart)\n"
                "work.leases = dict.fromkeys(work.leases, await self._source.journal.lanes.current_epoch())",
            )
        ],
        [f"{PROTOCOL}::test_g3_a_worker_frozen_with_a_state_cannot_bring_it_back"],
    ),
    Mutant(
        "acknowledged-before-written",
        "the marks go before the target has the states",
        [
            Swap(
                f"{RELAY}/pump.py",
                "Pump._read_all",
                "tasks.create_task(self._write_all(work))",
                "tasks.create_task(self._write_all(work)); self._done.put_nowait(Outcome(work))",
            ),
            Swap(f"{RELAY}/pump.py", "Pump._hand_on", "self._done.put_nowait(outcome)", ""),
        ],
        [f"{PROTOCOL}::test_g2_marks_stay_until_the_target_has_the_state"],
    ),
    Mutant(
        "two-writes-of-one-key",
        "a key that is under way is read again",
        [Swap(f"{RELAY}/underway.py", "UnderWay._take_rows", "key in busy[entity]", "False")],
        [f"{PROTOCOL}::test_g4_a_key_is_in_one_write_at_a_time"],
        quick=True,
    ),
    Mutant(
        "new-state-under-old-ticket",
        "every batch has the same number",
        [Swap(f"{RELAY}/reader.py", "Reader.next", "self._number = max(number, self._number)", "self._number = 0")],
        [f"{PROTOCOL}::test_g3_a_retry_reads_again_under_a_new_ticket"],
    ),
    Mutant(
        "batch-age-not-checked",
        "states are sent however old they are",
        [
            Swap(
                f"{RELAY}/writer.py",
                "Writer._apply",
                "boottime() - work.started > self._max_age",
                "boottime() < work.started",
            )
        ],
        [f"{PROTOCOL}::test_a_batch_that_waited_too_long_is_not_sent"],
    ),
    # -- lanes, leases, epochs
    Mutant(
        "acknowledged-without-epoch",
        "who holds the lease is not asked",
        [
            Swap(f"{JOURNAL}/acknowledge.sql", "held", "AND l.epoch = mine.epoch", ""),
            Swap(f"{JOURNAL}/acknowledge.sql", "held", "l.owner = %(worker)s", "%(worker)s::text IS NOT NULL"),
        ],
        [
            f"{PROTOCOL}::test_g2_an_acknowledgement_without_the_lease_removes_nothing",
            f"{PROTOCOL}::test_g2_an_acknowledgement_waits_for_an_uncommitted_takeover",
        ],
        quick=True,
    ),
    Mutant(
        "lease-not-locked",
        "the acknowledgement reads the lease without locking it",
        [Swap(f"{JOURNAL}/acknowledge.sql", "held", "FOR SHARE OF l", "")],
        [f"{PROTOCOL}::test_g2_an_acknowledgement_waits_for_an_uncommitted_takeover"],
    ),
    Mutant(
        "lease-key-locked",
        "FOR KEY SHARE: it conflicts with no takeover",
        [Swap(f"{JOURNAL}/acknowledge.sql", "held", "FOR SHARE OF l", "FOR KEY SHARE OF l")],
        [f"{PROTOCOL}::test_g2_an_acknowledgement_waits_for_an_uncommitted_takeover"],
    ),
    Mutant(
        "refused-not-marked-again",
        "what was written without the lease is not marked again",
        [
            Swap(
                f"{RELAY}/acknowledger.py",
                "Acknowledger._refused",
                "await self._source.marks.add(entity, keys, Hint.REPAIR)",
                "",
            )
        ],
        [f"{PROTOCOL}::test_g2_an_acknowledgement_without_the_lease_removes_nothing"],
    ),
    Mutant(
        "epoch-not-above-target",
        "a new epoch is only higher than the source's",
        [
            Swap(
                f"{RELAY}/leases.py",
                "Leases._acquire",
                "self._lanes.acquire(lanes, above=max(self._above, *stored.values(), 0))",
                "self._lanes.acquire(lanes, above=0)",
            ),
            Swap(f"{RELAY}/leases.py", "Leases._acquire", "judge_lanes(stored, renewal)", "None"),
        ],
        [f"{PROTOCOL}::test_epochs_are_above_what_the_target_has_seen"],
    ),
    Mutant(
        "announcement-not-heeded",
        "a lane is held though the target was not told its epoch",
        [Swap(f"{RELAY}/leases.py", "Leases._acquire", "{lane: taken[lane] for lane in announced}", "taken")],
        [f"{PROTOCOL}::test_nothing_is_written_before_the_epoch_stands_in_the_target"],
    ),
    Mutant(
        "marks-read-before-announcement",
        "a lane's marks are read while its epoch is being announced",
        [
            Swap(
                f"{RELAY}/leases.py",
                "Leases._acquire",
                "announced = await self._target.announce(taken)",
                "self.held.update(taken)\nself.grown += 1\nannounced = await self._target.announce(taken)",
            )
        ],
        [f"{PROTOCOL}::test_nothing_is_written_before_the_epoch_stands_in_the_target"],
    ),
    Mutant(
        "busy-lanes-given-away",
        "a lane changes hands while its batch is under way",
        [Swap(f"{RELAY}/leases.py", "Leases._give_back", "set(busy())", "set()")],
        [f"{WORKERS}::test_lanes_move_only_when_nothing_of_them_is_under_way"],
    ),
    # -- turns beside a large transaction
    Mutant(
        "no-turns",
        "what is marked after a large transaction waits for its end",
        [Swap(f"{RELAY}/turns.py", "Turns.next", "self._front is not None", "False")],
        [f"{TURNS}::test_what_is_written_after_a_large_transaction_does_not_wait_for_its_end"],
    ),
    Mutant(
        "turns-of-the-first-only",
        "what is marked after a second large transaction waits for the end of both",
        [
            Swap(
                f"{RELAY}/turns.py",
                "Turns.look",
                "max(self._front or 0, await self._floor.drawn() - size // 2)",
                "self._front",
            )
        ],
        [f"{TURNS}::test_two_large_transactions_do_not_keep_others_from_their_turns"],
    ),
    Mutant(
        "turns-of-the-last-only",
        "what is marked after a large transaction while batches grow waits for its end",
        [Swap(f"{RELAY}/turns.py", "Turns.look", "self._drawn is None", "True")],
        [f"{TURNS}::test_what_is_written_while_batches_grow_does_not_wait_for_the_end"],
    ),
    Mutant(
        "floor-above-what-turns-pass-over",
        "the floor rises to what a turn has found",
        [
            Swap(
                f"{RELAY}/reader.py",
                "Reader.next",
                "front is None and self._cursor == self._start and not self._apart",
                "(front is not None or self._cursor == self._start) and not self._apart",
            )
        ],
        [f"{TURNS}::test_what_waits_below_a_turn_is_read_though_the_pass_starts_over"],
    ),
    # -- sessions at rest
    Mutant(
        "resting-not-called",
        "a worker that rests is left its long lease",
        [Swap(f"{RELAY}/leases.py", "Leases._balance", "want > len(mine)", "False")],
        [f"{RESTS}::test_lanes_of_a_worker_that_died_at_rest_are_free_after_a_usual_lease"],
    ),
    Mutant(
        "call-not-heard",
        "a call does not end a rest",
        [Swap(f"{RELAY}/keeper.py", "Keeper.wake", "self._stirred.set()", "")],
        [f"{RESTS}::test_a_worker_at_rest_shares_with_one_that_starts"],
    ),
    Mutant(
        "call-like-any-notification",
        "a worker that renews seldom because it is alone does not hear that another one wants lanes",
        [Swap(f"{POSTGRES}/waker.py", "PostgresWaker.listen", "notice.payload == CALL", "False")],
        [f"{RESTS}::test_a_worker_alone_at_work_shares_with_one_that_starts"],
    ),
    Mutant(
        "rests-beside-others",
        "a worker rests though another one is there",
        [Swap(f"{RELAY}/rest.py", "Rest.rhythm", "self._leases.alone", "True")],
        ["tests/unit/test_rest.py::test_what_needs_a_frequent_look_gets_it"],
        quick=True,
    ),
    Mutant(
        "rests-unwoken",
        "a worker rests that no writer wakes",
        [Swap(f"{RELAY}/rest.py", "Rest.rhythm", "self._waker.holds", "True")],
        ["tests/unit/test_rest.py::test_a_session_that_no_writer_wakes_does_not_rest"],
        quick=True,
    ),
    # -- deletes are done twice
    Mutant(
        "no-second-delete",
        "a delete is done once",
        [Swap(f"{RELAY}/work.py", "Work._add_absences", "key not in touched.again", "False")],
        [
            f"{PROTOCOL}::test_g3_a_late_write_of_a_deleted_record_is_removed",
            f"{PROTOCOL}::test_g3_a_worker_frozen_with_a_state_cannot_bring_back_a_deleted_record",
        ],
    ),
    Mutant(
        "second-delete-too-early",
        "the second delete does not wait for the grace time",
        [
            Swap(
                f"{JOURNAL}/acknowledge.sql",
                "again",
                "clock_timestamp() + %(grace)s",
                "clock_timestamp() + 0 * %(grace)s",
            )
        ],
        [f"{PROTOCOL}::test_g3_a_late_write_of_a_deleted_record_is_removed"],
    ),
    # -- reading
    Mutant(
        "cursor",
        "reading goes on after the last number seen and never starts over",
        [
            Swap(
                f"{RELAY}/reader.py",
                "Reader.next",
                "marks[-1][0] if full else self._start",
                "marks[-1][0] if marks else self._cursor",
            ),
            Swap(f"{RELAY}/reader.py", "Reader.restart", "self._cursor = self._start", ""),
        ],
        [f"{BASICS}::test_a_commit_that_drew_its_number_early_arrives_late"],
    ),
    Mutant(
        "floor-without-waiting",
        "the floor is raised to a number though transactions that drew a lower one are open",
        [
            Swap(
                f"{POSTGRES}/floor.py",
                "PostgresFloor.advance",
                '(await self._statements.one("oldest_transaction"))[0] >= candidate[1]',
                "True",
            )
        ],
        [f"{PROTOCOL}::test_g2_the_floor_waits_for_open_transactions"],
    ),
    Mutant(
        "wake-without-second-look",
        "whoever takes the wake lock sleeps at once",
        [Swap(f"{RELAY}/idle.py", "Idler.rest", "return", "await self.sleep(self._poll)")],
        [f"{PROTOCOL}::test_a_commit_between_the_last_look_and_the_wake_lock_is_seen"],
    ),
    Mutant(
        "wake-lock-given-back-silently",
        "workers that relied on a busy one's wake lock are not told",
        [Swap(f"{RELAY}/idle.py", "Idler.before_read", "await self._waker.notify()", "")],
        [f"{BASICS}::test_every_worker_is_woken_while_another_one_is_busy"],
    ),
    Mutant(
        "dead-holder-trusted",
        "a worker relies on the wake lock of one that has died",
        [Swap(f"{RELAY}/keeper.py", "Keeper._beat", "await self._wakes_nobody(waker)", "False")],
        [f"{BASICS}::test_a_worker_notices_that_the_holder_of_the_wake_lock_has_died"],
    ),
    Mutant(
        "key-under-way-forgotten",
        "a mark that was passed over is not looked for again",
        [
            Swap(
                f"{RELAY}/underway.py",
                "UnderWay._take_rows",
                "self.skipped = self.skipped or not passed_over <= self._seqs",
                "",
            )
        ],
        [f"{PROTOCOL}::test_a_key_under_way_is_found_again"],
    ),
    Mutant(
        "key-freed-while-its-mark-is-read",
        "a mark that is acknowledged while marks are read is taken once more",
        [Swap(f"{RELAY}/underway.py", "UnderWay.release", "if self.reading: ...", "if False: ...")],
        ["tests/integration/test_backfill_relay.py::test_a_mark_acknowledged_while_it_is_read_is_not_written_again"],
    ),
    Mutant(
        "asynchronous-commit-not-awaited",
        "changes that a crash could take back are applied",
        [
            Swap(
                f"{RELAY}/planner.py",
                "Planner._wait_durable",
                "if self.asynchronous and durability is not None: ...",
                "if False: ...",
            )
        ],
        [f"{BASICS}::test_marks_of_asynchronous_commits_wait_for_the_flush"],
    ),
    # -- writing
    Mutant(
        "no-fence",
        "any state overwrites any other",
        [Swap(f"{MONGO}/writes.py", "", "{'$lt': [{'$ifNull': ['$_v', -1]}, '$$new._v']}", "{'$ne': [1, '$$new._v']}")],
        [
            f"{CONTRACT}::test_a_lower_ticket_never_overwrites_a_higher_one",
            f"{CONTRACT}::test_the_same_ticket_twice_changes_nothing",
        ],
    ),
    Mutant(
        "no-delete-fence",
        "a late delete removes a newer record",
        [Swap(f"{MONGO}/writes.py", "Writes.delete", "{'$not': {'$gte': gone.ticket}}", "{'$ne': 'x'}")],
        [f"{CONTRACT}::test_a_delete_with_a_lower_ticket_does_not_delete"],
    ),
    Mutant(
        "delete-misses-records-without-ticket",
        "the delete's filter only knows records with a lower ticket",
        [Swap(f"{MONGO}/writes.py", "Writes.delete", "{'$not': {'$gte': gone.ticket}}", "{'$lt': gone.ticket}")],
        [f"{CONTRACT}::test_a_record_without_ticket_is_deleted"],
    ),
    Mutant(
        "values-are-expressions",
        "values that begin with $ are evaluated",
        [
            Swap(
                f"{MONGO}/writes.py",
                "Writes.upsert",
                "{'q': {'_id': d['_id']}, 'u': NEWER_WINS, 'c': {'new': d}, 'upsert': True}",
                "{'q': {'_id': d['_id']}, 'u': [{'$replaceWith': {'$cond': [{'$lt': [{'$ifNull': ['$_v', -1]}, d['_v']]}, d, '$$ROOT']}}], 'upsert': True}",
            )
        ],
        [f"{CONTRACT}::test_values_that_look_like_operators_are_values"],
    ),
    Mutant(
        "write-not-durable",
        "write concern 1, without the journal",
        [Swap(f"{MONGO}/writes.py", "", "WriteConcern(w='majority', j=True)", "WriteConcern(w=1, j=False)")],
        [f"{OUTAGES}::test_g2_what_is_acknowledged_survives_a_kill_of_mongodb"],
    ),
    # -- trouble
    Mutant(
        "rejection-dropped",
        "a rejected record's mark goes, and nothing is parked",
        [Swap(f"{RELAY}/writer.py", "Writer._written", "if report.rejected: ...", "if False: ...")],
        [f"{BAD}::test_g5_a_rejected_record_is_parked_alone"],
    ),
    Mutant(
        "parked-marks-stay",
        "the marks of parked records stay in the reader's way",
        [
            Swap(
                f"{JOURNAL}/acknowledge.sql",
                "bad",
                "), good AS (",
                "), stay AS (INSERT INTO syncline.outbox (entity, lane, hint, key)"
                " SELECT d.entity, d.lane, 'R', d.key FROM done AS d JOIN bad AS b USING (entity, key)), good AS (",
            )
        ],
        [f"{BAD}::test_parked_marks_are_out_of_the_readers_way"],
    ),
    Mutant(
        "unreadable-is-absent",
        "a row that cannot be read is taken for a deleted one",
        [Swap(f"{RELAY}/planner.py", "Planner._fill", "[key for key in keys if key not in gone]", "list(keys)")],
        [f"{BAD}::test_a_row_that_cannot_be_read_is_parked_and_its_document_stays"],
    ),
    Mutant(
        "outage-counts-as-failure",
        "attempts during an outage are counted, and records given up",
        [
            Swap(
                f"{RELAY}/recovery.py",
                "Recovery.recover",
                "self.down = unavailable\nself._poison.server_failed()\nreturn",
                "error = unavailable",
            )
        ],
        [f"{OUTAGES}::test_g5_an_outage_consumes_nothing_however_long"],
    ),
    Mutant(
        "refusal-parks",
        "records are parked for the server's refusals",
        [
            Swap(
                f"{RELAY}/recovery.py",
                "Recovery.recover",
                "if isinstance(error, TargetRefusedError): ...",
                "if False: ...",
            )
        ],
        [f"{OUTAGES}::test_a_refusal_of_the_server_parks_no_record"],
    ),
    Mutant(
        "slow-batches-stay-large",
        "a batch that could not be sent in time is read again as large as it was",
        [Swap(f"{RELAY}/pump.py", "Pump._failed", "self._reader.too_slow(work)", "")],
        [f"{BASICS}::test_a_slow_target_gets_smaller_batches"],
    ),
    Mutant(
        "poison-not-searched",
        "a batch that the target cannot stand is tried for ever",
        [Swap(f"{RELAY}/poison.py", "Poison.bisect", "self.shrink or self._failures >= TRIES", "self._failures < 0")],
        [f"{BAD}::test_g5_a_record_that_the_target_cannot_stand_is_found_by_halving"],
    ),
    Mutant(
        "poison-searched-again",
        "a record that the target could not stand is searched for anew when it changes",
        [Swap(f"{RELAY}/poison.py", "Poison.bisect", "self.quarantined[record] = 0", "")],
        [f"{BAD}::test_a_known_poison_that_changes_holds_nobody_up"],
    ),
    Mutant(
        "quarantined-parked-by-an-outage",
        "a record in quarantine is parked because the target is away",
        [
            Swap(
                f"{RELAY}/writer.py",
                "Writer._write_alone",
                "isinstance(error, (TargetRefusedError, LaneLostError)) or not await self._is_well()",
                "False",
            )
        ],
        [f"{BAD}::test_g5_an_outage_parks_no_record_in_quarantine"],
    ),
    Mutant(
        "quarantined-parked-by-a-lost-reply",
        "one failure parks a record in quarantine",
        [Swap(f"{RELAY}/poison.py", "", "KNOWN_TRIES = 2", "KNOWN_TRIES = 1")],
        [f"{BAD}::test_g5_a_lost_reply_parks_no_record_in_quarantine"],
    ),
    Mutant(
        "poison-among-others",
        "a record that the target could not stand is written together with others again",
        [Swap(f"{RELAY}/work.py", "Work.plan_writes", "if alone: ...", "if False: ...")],
        [f"{BAD}::test_a_known_poison_that_changes_holds_nobody_up"],
    ),
    Mutant(
        "conflict-is-rejection",
        "a unique value that another record still has is parked at once",
        [
            Swap(
                f"{RELAY}/conflicts.py",
                "Conflicts.settle",
                "rightful and self._seen_again(plan.id, conflict.key) >= PATIENCE",
                "holder",
            ),
            Swap(
                f"{RELAY}/conflicts.py",
                "Conflicts.settle",
                "rejections.append(rightful)",
                "rejections.append(_rejection(plan, conflict, '?', '?'))",
            ),
        ],
        [f"{UNIQUE}::test_two_records_swap_their_values", f"{UNIQUE}::test_three_records_rotate_their_values"],
    ),
    Mutant(
        "violation-loses-its-document",
        "a record whose value is rightfully another's is taken away, too",
        [
            Swap(
                f"{RELAY}/conflicts.py",
                "Conflicts.settle",
                "holder and not rightful and not self._is_refused(plan, holder)"
                " and self._tried(plan.id, conflict.key) >= 2",
                "holder and self._tried(plan.id, conflict.key) >= 2",
            )
        ],
        [f"{UNIQUE}::test_a_violation_is_parked_and_names_the_holder"],
    ),
    Mutant(
        "no-displacement",
        "records that exchange values wait for each other",
        [Swap(f"{RELAY}/conflicts.py", "Conflicts.settle", "self._tried(plan.id, conflict.key) >= 2", "False")],
        [f"{UNIQUE}::test_two_records_swap_their_values"],
    ),
    # -- restores
    Mutant(
        "beats-not-compared",
        "neither side notices that the other was restored",
        [
            Swap(
                f"{RELAY}/restores.py",
                "judge_beat",
                "if found is None:\n    return 'target empty' if confirmed else None",
                "return None",
            )
        ],
        [
            f"{RESTORES}::test_g3_a_target_restored_to_an_earlier_copy_is_reconciled",
            f"{RESTORES}::test_a_reinstallation_is_noticed_and_reconciled",
            f"{RESTORES}::test_a_target_of_another_source_is_refused",
        ],
    ),
    Mutant(
        "source-restore-not-noticed",
        "a source that is older than the target's memory of it is taken as it is",
        [
            Swap(f"{RELAY}/restores.py", "judge_beat", "found.count > mine.count", "False"),
            Swap(f"{RELAY}/restores.py", "judge_beat", "found.nonce not in nonces", "False"),
            Swap(f"{RELAY}/restores.py", "judge_lanes", "max(stored.values(), default=0) > renewal.epoch", "False"),
        ],
        [f"{RESTORES}::test_g3_a_source_restored_to_an_earlier_time_is_reconciled"],
    ),
    # -- whose target it is
    Mutant(
        "identity-ignored",
        "a copy of the source, equal but for its cluster and database, is taken for the source",
        [Swap(f"{RELAY}/restores.py", "judge_beat", "not same_system(found.system, mine.system)", "False")],
        [f"{COPIES}::test_case_22_a_copy_of_the_source_is_refused_also_while_the_originals_worker_is_stopped"],
    ),
    Mutant(
        "nonce-ignored",
        "a byte-equal copy is not told from the source by what renewals left in the target",
        [Swap(f"{RELAY}/restores.py", "judge_beat", "found.nonce not in nonces", "False")],
        [f"{COPIES}::test_what_the_target_remembers_is_judged"],
    ),
    Mutant(
        "above-taken-for-a-restore",
        "somebody who stands above a running worker is taken for its own restored source",
        [
            Swap(
                f"{RELAY}/restores.py",
                "judge_beat",
                "if found.count > mine.count:\n    return 'forked' if lasting else 'source behind'",
                "if found.count > mine.count:\n    return 'source behind'",
            )
        ],
        [f"{COPIES}::test_what_the_target_remembers_is_judged"],
    ),
    Mutant(
        "beat-overwrites-others",
        "the target's record of another source is overwritten by whoever comes",
        [Swap(f"{MONGO}/control.py", "replacement", "{'$and': [ours, known, {'$not': higher}]}", "{'$not': higher}")],
        [f"{CONTRACT}::test_another_systems_beat_stays_unless_it_is_named"],
    ),
    Mutant(
        "damaged-beat-replaced",
        "the target's record of its source is replaced when it does not say what it should",
        [Swap(f"{MONGO}/control.py", "replacement", "[ours, known, {'$not': higher}]", "[ours, {'$not': higher}]")],
        [f"{RECORDS}::test_a_damaged_heartbeat_is_not_taken_over"],
    ),
    Mutant(
        "damaged-lane-believed",
        "a lane's record is taken for what it says, whatever that is",
        [Swap(f"{MONGO}/control.py", "lane_epochs", "if damaged: ...", "if False: ...")],
        [f"{RECORDS}::test_a_damaged_lane_is_not_announced"],
    ),
    Mutant(
        "damaged-documents-left-out",
        "a read leaves out what cannot be decoded, and says nothing",
        [Swap(f"{MONGO}/damaged.py", "_each", "if damaged: ...", "if False: ...")],
        ["tests/cases/test_damaged_documents.py::test_a_damaged_document_is_named_and_the_others_are_had"],
    ),
    Mutant(
        "cluster-as-installed",
        "on CockroachDB the identity is what the installation noted, which a copy has too",
        [Swap("syncline/postgres/connection.py", "identify", "queries['identity']", "queries['identity_noted']")],
        [f"{COPIES}::test_cockroachdb_another_cluster_is_refused"],
    ),
    Mutant(
        "refused-and-gone-is-done",
        "a write that the fence refused is taken for done when nothing stands above it any more",
        [Swap(f"{RELAY}/writer.py", "Writer._written", "if report.unknown: ...", "if False: ...")],
        [f"{STALE}::test_a_ticket_that_is_taken_away_before_it_was_read_back_loses_no_change"],
    ),
    Mutant(
        "stale-acknowledged",
        "a write that the fence refused under a lease that holds is acknowledged as done",
        [
            Swap(
                f"{RELAY}/writer.py",
                "Writer._written",
                "if report.outranked:\n    parked, again = self._outranked.judge(plan.id, report.outranked)\n    outcome.reject(plan, parked)\n    outcome.outranked |= again\n    outcome.waiting |= again.keys()",
                "pass",
            )
        ],
        [
            f"{STALE}::test_case_22_changes_arrive_although_another_source_has_written_above_them",
            f"{STALE}::test_a_delete_that_the_fence_keeps_out_is_done_again",
        ],
        quick=True,
    ),
    Mutant(
        "delete-not-read-back",
        "a delete that found nothing is taken for done, whatever stands there",
        [Swap(f"{MONGO}/writes.py", "Writes.delete", "reply['n'] < len(absences)", "False")],
        [f"{STALE}::test_a_delete_that_the_fence_keeps_out_is_done_again"],
    ),
    Mutant(
        "no-epoch-above",
        "what was outranked is written again under the epoch that was outranked",
        [Swap(f"{RELAY}/leases.py", "Leases.outrank", "max([self._above, *epochs.values()])", "0")],
        [f"{STALE}::test_case_22_changes_arrive_although_another_source_has_written_above_them"],
    ),
    Mutant(
        "file-is-the-truth",
        "a worker serves what its file says, whatever is installed",
        [Swap("syncline/engines/postgres/plans.py", "compile_declared", "declared.entities", "entities")],
        [f"{DECLARED}::test_case_24_a_worker_with_last_weeks_file_works_by_what_is_installed_and_says_so"],
    ),
    Mutant(
        "installation-not-noticed",
        "a running worker does not look whether an installation has changed what is synced",
        [
            Swap(
                f"{POSTGRES}/journal.py",
                "SqlEntities.changed",
                "plans.declared not in ('', await declaration_digest(connection))",
                "False",
            )
        ],
        [f"{DECLARED}::test_an_installation_that_concerns_no_column_is_taken_over_too"],
    ),
    Mutant(
        "explain-finds-no-difference",
        "the fields in which a document differs from its row are not named",
        [Swap("syncline/insight/explain.py", "_both", "if e.differences: ...", "if False: ...")],
        [f"{EXPLAIN}::test_fields_that_differ_are_named_with_the_command"],
    ),
    Mutant(
        "parked-keeps-diverged",
        "a notice of a divergence that is mended stays while any record is parked",
        [
            Swap(
                "syncline/verify/report.py",
                "EntityReport.undamaged",
                "not self.counts",
                "not self.counts and not self.parked",
            )
        ],
        [f"{NOTICES}::test_a_divergence_that_a_command_finds_is_told_has_a_metric_and_ends_with_a_clean_pass"],
    ),
    Mutant(
        "data-renamed-in-json",
        "names of fields in rows and documents are spelt as ours in JSON",
        [Swap("syncline/model/json_names.py", "camelled", "if isinstance(value, Verbatim): ...", "if False: ...")],
        ["tests/cases/test_json_names.py::test_data_and_names_of_things_stay"],
    ),
    Mutant(
        "anybodys-replica",
        "the doctor takes the standby of another source for this one's",
        [
            Swap(
                "syncline/insight/checks/replica.py",
                "_look",
                'if ours["system"] != theirs["system"]: ...',
                "if False: ...",
            )
        ],
        ["tests/integration/test_doctor_replica.py::test_the_doctor_looks_at_the_replica"],
    ),
    Mutant(
        "source-timeout-unused",
        "a worker's connections to the source do not keep to connect_timeout_seconds",
        [Swap("syncline/relay/worker.py", "Worker._open", "settings.connect_timeout", "settings.connect_timeout * 3")],
        ["tests/cases/test_every_setting.py::test_every_connection_to_the_source_waits_so_long"],
    ),
    Mutant(
        "explain-forgets-tasks",
        "a document that a backfill is still to write is called missing",
        [Swap("syncline/insight/explain.py", "_settled", "to_come and present", "False")],
        [f"{EXPLAIN}::test_a_missing_document_may_be_still_to_come"],
    ),
    Mutant(
        "explain-ignores-the-filter",
        "a row that the entity's filter leaves out is expected in the target",
        [Swap("syncline/insight/explain.py", "_settled", "e.row is not None and e.included", "e.row is not None")],
        [f"{EXPLAIN}::test_a_row_outside_of_the_filter_agrees_with_no_document"],
    ),
    Mutant(
        "previous-sessions-not-ended",
        "`install --finish` leaves workers of the previous release at work",
        [
            Swap(
                "syncline/capture/postgres/migrate.py",
                "plan_migrations",
                "plan.migrations.append(_trusted(_block('end_sessions')))",
                "pass",
            )
        ],
        [
            f"{UPGRADE}::test_an_upgrade_under_a_live_writer_and_a_worker_of_the_previous_release_loses_nothing",
        ],
    ),
    Mutant(
        "migration-locks-over-round-trips",
        "a step of a migration of our tables is sent statement by statement: its locks are held until the last one has come",
        [
            Swap(
                "syncline/capture/postgres/migrate.py",
                "_one",
                "await conn.execute(sql.SQL(';\\n').join(statements))",
                "async with conn.transaction():\n    for statement in statements:\n        await conn.execute(statement)",
            )
        ],
        [
            "tests/integration/test_migrations.py::test_no_round_trip_lies_between_the_locks_of_a_step_and_its_commit",
        ],
    ),
    # -- backfill
    Mutant(
        "chunk-apart-from-its-progress",
        "the marks of a chunk are committed before the progress that counts them",
        [
            Swap(
                f"{POSTGRES}/marking.py",
                "SqlKeys.mark_range.marked",
                "row = await (await self._connection.execute(mark, values)).fetchone()",
                "row = await (await self._connection.execute(mark, values)).fetchone()\n"
                "await self._connection.execute('COMMIT')\n"
                "await self._connection.execute('BEGIN')",
            )
        ],
        [f"{TESTS}/test_backfill.py::test_a_task_taken_over_stops_marking"],
    ),
    Mutant(
        "resumed-unclaimed",
        "a process goes on with a task that the command has given back",
        [Swap("syncline/backfill/runner.py", "Runner.resume", "True", "False")],
        [f"{TESTS}/test_backfill.py::test_what_was_given_back_is_not_resumed"],
    ),
    Mutant(
        "anybody-advances-a-task",
        "whoever has lost a task goes on with it",
        [Swap(f"{JOURNAL}/tasks.sql", "advance", "AND claimed_by = %(worker)s", "")],
        ["tests/integration/test_source_contract.py::TestPostgres::test_who_has_lost_a_task_hears_of_it"],
    ),
    Mutant(
        "epochs-from-before-count",
        "a lease is confirmed whose epoch is another acquisition's",
        [Swap(f"{JOURNAL}/queries.sql", "confirm", "AND l.epoch = mine.epoch", "")],
        [
            "tests/integration/test_source_contract.py::TestPostgres::test_only_epochs_that_count_are_confirmed_and_released"
        ],
    ),
    Mutant(
        "walk-against-its-index",
        "a key is walked in the order of its declaration, whatever its index has",
        [Swap("syncline/engines/postgres/key_sql.py", "index_order", "tuple(names) not in known", "False")],
        [f"{TESTS}/test_backfill_keys.py::test_a_chunk_in_the_middle_of_a_large_table_is_a_range_of_its_index"],
    ),
    Mutant(
        "rate-forgotten",
        "chunks follow each other at once",
        [
            Swap(
                "syncline/backfill/pace.py",
                "Pacer.turn",
                "{} if rate is None else {'not_before': self._due + count / rate}",
                "{}",
            )
        ],
        [f"{TESTS}/test_backfill_options.py::test_a_rate_is_kept_chunk_by_chunk_and_across_a_kill"],
    ),
    Mutant(
        "rate-lifted-beside-writers",
        "the rate is lifted while an application changes records",
        [
            Swap(
                "syncline/backfill/pace.py",
                "Pacer._rate",
                "time.monotonic() - self._others > calm.total_seconds()",
                "True",
            )
        ],
        [
            f"{TESTS}/test_backfill_options.py::test_the_rate_holds_while_others_change_records_and_not_when_nobody_has_for_a_while"
        ],
    ),
    Mutant(
        "condition-half-checked",
        "what is no whole expression gets past the entity's filter",
        [
            Swap(
                f"{POSTGRES}/condition.py",
                "",
                "'/* syncline */ EXPLAIN SELECT FROM {} WHERE CASE WHEN {} THEN true END'",
                "'/* syncline */ EXPLAIN SELECT FROM {} WHERE ({})'",
            )
        ],
        [f"{TESTS}/test_backfill_options.py::test_what_is_no_condition_is_refused_before_anything_is_marked"],
    ),
    Mutant(
        "states-without-bound",
        "as many wide rows are read at a time as narrow ones",
        [Swap("syncline/engines/postgres/bounded.py", "Bound._stream", "if size > self._most: ...", "if False: ...")],
        [f"{TESTS}/test_backfill_relay.py::test_states_that_do_not_fit_are_left_for_the_next_read"],
    ),
    Mutant(
        "rows-newer-than-the-pass-trusted",
        "a row that was away when its place was walked is not compared when its document is met",
        [
            Swap(
                "syncline/verify/one_pass.py",
                "Pass._orphans",
                "None if self._keys_only else self._place.horizon",
                "None",
            )
        ],
        [f"{TESTS}/test_verify_traps.py::test_a_row_that_is_away_when_its_place_is_walked_is_compared_all_the_same"],
    ),
    Mutant(
        "parked-forgotten",
        "a record that differed while it was parked is not looked at again when its entry is discarded",
        [Swap("syncline/verify/suspects.py", "Suspects.suspect_unparked", "set(parked)", "self._parked.keys()")],
        ["tests/unit/test_verify_in_memory.py::test_a_parked_record_whose_entry_goes_during_the_pass_is_damage"],
    ),
    Mutant(
        "parked-forgotten-by-a-pass-that-goes-on",
        "a pass that goes on does not look again at what was parked",
        [Swap("syncline/verify/suspects.py", "Suspects.as_state", "self._parked | self._open", "self._open")],
        ["tests/unit/test_verify_in_memory.py::test_a_parked_record_is_looked_at_again_by_a_pass_that_goes_on"],
    ),
    Mutant(
        "claims-of-the-future",
        "what a dead worker had claimed stays its for as long as the source's clock was set back",
        [
            Swap(
                f"{JOURNAL}/queries.sql",
                "trim_leases",
                "WITH tasks AS ( UPDATE syncline.task SET claimed_until = clock_timestamp() + interval '15 seconds' WHERE id IN",
                "WITH tasks AS ( UPDATE syncline.task SET claimed_until = clock_timestamp() + interval '15 seconds' WHERE false AND id IN",
            )
        ],
        [f"{TESTS}/test_relay_clock.py::test_what_the_dead_had_claimed_is_taken_over_too"],
    ),
    Mutant(
        "installation-kept-for-ever",
        "tokens are of the installation that the process met first",
        [
            Swap(
                "syncline/capture/sqlalchemy/commits.py",
                "CommitTokens._installation",
                "installations.get((link, table))",
                "next(iter(installations.values()), None)",
            )
        ],
        [f"{TESTS}/test_freshness.py::test_an_application_that_goes_on_is_believed_after_a_reinstallation"],
    ),
    Mutant(
        "proof-of-the-future",
        "a proof from before the source's clock was set back hides the newer ones",
        [Swap("syncline/insight/queries.sql", "certificates", "as_of > clock_timestamp(), as_of DESC", "as_of DESC")],
        [f"{TESTS}/test_relay_clock.py::test_a_proof_of_the_future_hides_no_newer_one_and_puts_none_off"],
    ),
    Mutant(
        "prepared-beside-notify",
        "writers notify an idle worker where transactions can be prepared, which PostgreSQL then refuses",
        [
            Swap(
                f"{JOURNAL}/schema.sql",
                "FUNCTION syncline.wake",
                "AND pg_catalog.current_setting('max_prepared_transactions') = '0'",
                "",
            )
        ],
        [f"{TESTS}/test_capture_install.py::test_prepared_transactions_are_captured"],
    ),
    Mutant(
        "tasks-of-nobody",
        "what an installation has asked for and nobody does is healthy",
        [Swap("syncline/insight/status.py", "_unattended", '(tasks, "task")', '(0, "task")')],
        ["tests/unit/test_status_judged.py::test_what_waits_while_no_worker_lives_is_told"],
    ),
    Mutant(
        "critical-notice-hidden",
        "newer notices hide a critical one",
        [
            Swap(
                "syncline/insight/queries.sql",
                "notices",
                "CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, id DESC",
                "id DESC",
            )
        ],
        ["tests/integration/test_cli_status.py::TestStatus::test_a_critical_notice_is_not_hidden_by_many_newer_ones"],
    ),
    # -- what drivers do not decode
    Mutant(
        "driver-believed",
        "verification compares what the driver makes of a document, not what is stored",
        [
            Swap(
                "syncline/model/strict_bson.py",
                "decoded",
                "bson.encode(found, codec_options=codec) == document",
                "True",
            )
        ],
        [f"{ODD}::test_documents_are_compared_as_they_are_stored_and_mended"],
    ),
    Mutant(
        "references-believed",
        "a document with $ref and $id is compared as the driver's reference",
        [Swap("syncline/model/strict_bson.py", "decoded", "b'$ref\\0' not in document", "True")],
        [f"{ODD}::test_documents_are_compared_as_they_are_stored_and_mended"],
    ),
    Mutant(
        "repeated-fields-parked",
        "a document with two fields of one name, which the server does not update, is not replaced either",
        [
            Swap(
                "syncline/engines/mongo/writes.py",
                "Writes.upsert",
                "mongo_errors.is_of_repeated_field(error)",
                "False",
            )
        ],
        [f"{ODD}::test_documents_are_compared_as_they_are_stored_and_mended"],
    ),
    Mutant(
        "replaced-without-fence",
        "such a document is replaced by an older state too",
        [
            Swap(
                "syncline/engines/mongo/writes.py",
                "Writes._replace",
                "{'_id': d['_id'], '$expr': {'$lt': [{'$ifNull': ['$_v', -1]}, d['_v']]}}",
                "{'_id': d['_id']}",
            )
        ],
        [f"{ODD}::test_a_document_with_two_fields_of_one_name_is_replaced_by_newer_states_only"],
    ),
    Mutant(
        "odd-keys-rewritten",
        "an _id that holds what no driver writes is asked for in another form",
        [Swap("syncline/model/strict_bson.py", "_fields", "_whole(tag, payload, value)", "value")],
        [f"{ODD}::test_a_key_that_no_driver_decodes_is_one_foreign_document"],
    ),
    Mutant(
        "a-failing-condition-stops-all",
        "a filter that fails at one row stops the backfill of all",
        [Swap("syncline/backfill/marking.py", "Backfill._chunk", "not is_of_records(error)", "True")],
        [f"{FAILING}::test_a_backfill_marks_the_rows_at_which_the_filter_does_not_fail"],
    ),
    Mutant(
        "a-failing-row-forgotten",
        "a row at which the filter fails is not marked",
        [
            Swap(
                "syncline/backfill/marking.py",
                "Backfill._chunk_apart",
                "[*chosen.keys, *chosen.doubtful]",
                "chosen.keys",
            )
        ],
        [f"{FAILING}::test_a_backfill_marks_the_rows_at_which_the_filter_does_not_fail"],
    ),
    Mutant(
        "a-failing-condition-stops-samples",
        "a filter that fails at one row stops the verification of a sample",
        [
            Swap(
                "syncline/engines/postgres/verification/looks.py", "SqlLooks.sample", "not is_of_records(error)", "True"
            )
        ],
        [f"{FAILING}::test_a_sample_names_the_row_at_which_the_filter_fails"],
    ),
    # -- schema changes
    Mutant(
        "probe-removed",
        "a trigger whose column is gone fails the user's write",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "statement",
                "many := true; WHEN OTHERS THEN problem := SQLERRM;",
                "many := true;",
            ),
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "row",
                "PERFORM WHERE {sound}; EXCEPTION WHEN OTHERS THEN problem := SQLERRM;",
                "PERFORM WHERE {sound};",
            ),
        ],
        [
            "tests/cases/test_writes_go_on.py::test_a_write_that_cannot_be_marked_goes_on_and_leaves_a_note_in_its_transaction"
        ],
        quick=True,
    ),
    Mutant(
        "outbox-taken-for-sound",
        "what somebody adds to the outbox fails users' writes",
        [Swap("syncline/capture/postgres/triggers.sql", "sound", "syncline.markable()", "true")],
        [f"{ENDURE}::test_users_writes_go_on_and_each_change_is_marked_or_noted"],
        quick=True,
    ),
    Mutant(
        "careless-where-it-is-odd",
        "a trigger that knows that something is wrong marks as always",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "statement",
                "BEGIN {many_carefully} EXCEPTION WHEN OTHERS THEN problem := SQLERRM; {gap} END;",
                "{many_carefully}",
            )
        ],
        [f"{ENDURE}::test_users_writes_go_on_and_each_change_is_marked_or_noted"],
    ),
    Mutant(
        "old-keys-unmarked",
        "a bulk update that changes keys marks the new ones only",
        [Swap("syncline/capture/postgres/triggers.sql", "many_update", "{gone}", "")],
        [f"{TESTS}/test_capture_keys.py::test_a_bulk_update_of_keys_marks_the_old_ones_whatever_their_type"],
    ),
    Mutant(
        "key-type-by-another-name",
        "a boolean key's type is not named as the catalog names it: the next installation drops the function of the key",
        [Swap("syncline/model/key_types.py", "_boolean", '"bool"', '"boolean"')],
        [f"{TESTS}/test_capture_keys.py::test_a_second_installation_has_nothing_to_do_whatever_the_keys"],
    ),
    Mutant(
        "our-comments-compared",
        "what Syncline says of its triggers counts as a difference between the schemas of both sides of a move",
        [Swap("syncline/split/schema/compare.sql", "comments", "AND NOT is_our_trigger(t)", "")],
        [f"{TESTS}/test_split_move.py::test_capture_and_gates_are_no_differences_between_both_schemas"],
    ),
    Mutant(
        "compared-as-it-was",
        "an integer key that has become numeric is compared by value, and 1 is 1.0",
        [Swap("syncline/capture/postgres/composing.py", "still_typed", "if not equal: ...", "if True: ...")],
        [
            f"{TESTS}/test_capture_keys.py::test_an_integer_key_that_has_become_another_type_is_still_compared_by_its_text"
        ],
    ),
    Mutant(
        "gaps-of-another-entity",
        "in one transaction a gap of entity 11 is taken for one of entity 1",
        [Swap("syncline/capture/postgres/triggers.sql", "noted", "concat(' ', {stem},", "concat({stem},")],
        [f"{ENDURE}::test_gaps_of_several_entities_in_one_transaction_are_all_noted"],
    ),
    Mutant(
        "altered-unseen",
        "columns of ours that another tool has altered stay so",
        [
            Swap(
                f"{JOURNAL}/parts.py",
                "_altered",
                "not part.shape.fits(type_, not_null=not_null, filled=filled)",
                "False",
            )
        ],
        [f"{ENDURE}::test_columns_that_another_tool_altered_are_put_back_and_all_is_marked"],
    ),
    Mutant(
        "breaks-off-and-forgets",
        "an installation that broke off after putting tables back leaves records unmarked",
        [Swap("syncline/capture/postgres/halves.py", "plan_missing", "plan.migrations.append(_remembered())", "pass")],
        [f"{ENDURE}::test_an_installation_that_breaks_off_after_putting_back_has_all_marked_by_the_next"],
    ),
    Mutant(
        "owner-unasked",
        "trigger functions whose owner may not mark any more stay so",
        [Swap("syncline/capture/postgres/plan.py", "plan_owners", "if not unable: ...", "if True: ...")],
        [f"{ENDURE}::test_what_was_forbidden_is_allowed_again"],
    ),
    Mutant(
        "all-or-nothing-mended",
        "one entity that cannot be put back keeps all others from it",
        [Swap("syncline/capture/postgres/put_back.py", "_put_back", "if len(entities) == 1: ...", "if True: ...")],
        [f"{MENDING}::test_one_entity_that_cannot_be_put_back_keeps_no_other_from_it"],
    ),
    Mutant(
        "file-installed-by-mending",
        "mending installs what an outdated file says",
        [
            Swap(
                "syncline/capture/postgres/put_back.py",
                "_entities",
                "if lost_entities(await missing_parts(conn)): ...",
                "if True: ...",
            )
        ],
        [f"{MENDING}::test_what_is_installed_is_put_back_not_what_a_file_says"],
    ),
    Mutant(
        "own-schema-unlooked-at",
        "a running worker does not notice that something of ours is gone",
        [
            Swap(
                f"{POSTGRES}/our_schema.py",
                "OurSchema.look",
                "if (found, behind) == (self._digest, self._behind): ...",
                "if True: ...",
            )
        ],
        [f"{MENDING}::test_a_running_worker_says_what_of_ours_is_gone_until_it_is_put_back"],
    ),
    Mutant(
        "numbers-believed",
        "marks whose numbers were set back stay in the outbox",
        [Swap(f"{POSTGRES}/our_schema.py", "OurSchema._numbers", "given < before", "False")],
        [f"{MENDING}::test_marks_below_those_that_a_worker_has_read_are_found_when_their_numbers_were_set_back"],
    ),
    Mutant(
        "triggers-above-read-committed-unasked",
        "a transaction that cannot see a new trigger of the outbox fails by it",
        [Swap(f"{JOURNAL}/schema.sql", "FUNCTION syncline.odd_outbox", "OR c.relhastriggers OR", "OR")],
        [f"{ENDURE}::test_a_transaction_that_began_before_a_change_of_the_outbox_goes_on"],
    ),
    Mutant(
        "indexes-above-read-committed-unasked",
        "a transaction that cannot see a new index of the outbox fails by it",
        [
            Swap(
                f"{JOURNAL}/schema.sql",
                "FUNCTION syncline.odd_outbox",
                "pg_indexes_size(c.oid) IS DISTINCT FROM",
                "NULL <>",
            )
        ],
        [f"{ENDURE}::test_a_transaction_that_began_before_a_change_of_the_outbox_goes_on"],
    ),
    Mutant(
        "hindered-and-gone",
        "a trigger of somebody's on our tables ends the worker",
        [Swap("syncline/relay/trouble.py", "hindrance", "hindered(rules) if rules else None", "None")],
        [f"{MENDING}::test_a_trigger_of_somebody_s_that_refuses_what_workers_write_ends_none"],
    ),
    Mutant(
        "damage-ends-at-once",
        "a worker ends while an installation puts our schema back",
        [
            Swap(
                "syncline/relay/worker.py",
                "Worker._bears",
                "self._connected and now - self._damaged_at < DAMAGED_SECONDS",
                "False",
            )
        ],
        [f"{MENDING}::test_a_worker_waits_for_the_installation_that_puts_our_schema_back"],
    ),
    Mutant(
        "beats-wait-for-mending",
        "a worker that mends renews no lease meanwhile",
        [
            Swap(
                f"{POSTGRES}/lookout.py",
                "PostgresLookout._try_to_reinstall",
                "self._reinstalling = asyncio.create_task(self._reinstall())",
                "self._reinstalling = asyncio.create_task(self._reinstall())\nawait asyncio.wait({self._reinstalling})",
            )
        ],
        [f"{MENDING}::test_a_worker_goes_on_while_it_mends"],
    ),
    # -- signals
    Mutant(
        "condition-without-end",
        "what is served again stays told as stopped",
        [Swap(f"{RELAY}/conditions.py", "Conditions._hold", "await self._notices.end_others(name, still=now)", "")],
        [f"{SIGNALS}::test_an_entity_that_is_stopped_is_told_once_by_name_and_no_more_when_it_is_served"],
        quick=True,
    ),
    Mutant(
        "restore-over-too-soon",
        "a restore counts as reconciled while what it asked for is not applied",
        [
            Swap(
                f"{JOURNAL}/queries.sql",
                "settle_notices",
                "AND NOT EXISTS (SELECT FROM syncline.outbox WHERE hint IN ('B', 'R'))",
                "",
            )
        ],
        [f"{SIGNALS}::test_it_stays_while_what_the_restore_asked_for_is_not_applied"],
    ),
    Mutant(
        "slow-requests-unhealthy",
        "slow requests take the application out of service",
        [
            Swap(
                "syncline/model/thresholds.py",
                "health",
                "alert.severity is Severity.CRITICAL and not alert.degrades",
                "alert.severity is Severity.CRITICAL",
            )
        ],
        [f"{SIGNALS}::test_slow_requests_alone_degrade_at_most"],
    ),
    Mutant(
        "attnum-ignored",
        "a column that was dropped and added again under its name is taken for the same",
        [Swap("syncline/capture/postgres/observed.py", "_compare", "old['columns'][name][0] != column[0]", "False")],
        [f"{SCHEMA}::test_a_change_that_nobody_was_there_to_see_is_noticed_at_the_start"],
        quick=True,
    ),
    Mutant(
        "catalog-not-looked-at",
        "workers never look at the catalog",
        [
            Swap(
                f"{POSTGRES}/lookout.py",
                "PostgresLookout.look",
                "if found == self._digest and not ours: ...",
                "if True: ...",
            )
        ],
        [
            f"{SCHEMA}::test_a_change_that_nobody_was_there_to_see_is_noticed_at_the_start",
            f"{SCHEMA}::test_a_role_that_may_not_put_it_back_says_so",
        ],
    ),
    Mutant(
        "file-alone",
        "another relfilenode is taken for a rewrite: VACUUM FULL marks everything",
        [
            Swap(
                "syncline/capture/postgres/observed.py",
                "_compare_members",
                "all(a != b for a, b in zip(old[oid][:2], new[oid][:2], strict=True))",
                "old[oid][0] != new[oid][0]",
            )
        ],
        [f"{SCHEMA}::test_what_changes_no_document_marks_nothing"],
    ),
    Mutant(
        "surplus-kept",
        "lanes that an earlier session of a worker had stay its own beyond its share, and nobody serves them",
        [
            Swap(
                f"{RELAY}/leases.py",
                "Leases._balance",
                "if surplus := left[max(want, 0):]: ...",
                "if surplus := []: ...",
            )
        ],
        [f"{WORKERS}::test_a_new_session_gives_back_what_is_above_its_share"],
        quick=True,
    ),
    Mutant(
        "pglogical-unseen",
        "a subscription of pglogical that comes later is not noticed",
        [
            Swap(
                f"{JOURNAL}/tables.py",
                "has_pglogical",
                "return bool(there and there[0]['yes'] and (await _rows(conn, 'pglogical'))[0]['yes'])",
                "return False",
            )
        ],
        ["tests/cases/test_subscribers.py::test_pglogical_that_comes_later_is_noticed_and_has_no_trigger_on_truncate"],
    ),
    Mutant(
        "moment-ends-a-worker",
        "a worker ends as soon as another one has compiled an entity otherwise, be it for a moment",
        [
            Swap(
                f"{RELAY}/keeper.py",
                "Keeper._look_for_newer_mappings",
                "if self._otherwise[plan.id][1] >= STAYS: ...",
                "if True: ...",
            )
        ],
        ["tests/unit/test_keeper.py::test_only_what_another_worker_goes_on_to_say_ends_this_one"],
        quick=True,
    ),
    Mutant(
        "old-keys-stay",
        "after the key has become another one, a sweep leaves the documents under the old one",
        [
            Swap(
                "syncline/backfill/sweep.py",
                "Sweep._discard",
                "await self._target.discard(self._plan.entity, others)",
                "0",
            )
        ],
        [f"{SCHEMA}::test_what_ends_capture_is_said_and_healed_by_an_installation"],
    ),
    Mutant(
        "numbers-by-type",
        "a sweep takes a document whose key is an equal number of another type for nobody's",
        [
            Swap(
                "syncline/backfill/sweep.py",
                "Sweep._page",
                "self._plan.projection.codec.equal_text",
                "self._plan.projection.codec.key_text",
            )
        ],
        [f"{TESTS}/test_backfill.py::test_the_sweep_removes_what_is_ours_under_a_key_of_before"],
    ),
    Mutant(
        "any-plan-discards",
        "a sweep that was compiled before the key became another one takes the new documents for old ones",
        [
            Swap(
                "syncline/backfill/sweep.py",
                "Sweep._discard",
                "if not await self._keys.are_still_the_key(): ...",
                "if False: ...",
            )
        ],
        [f"{TESTS}/test_backfill.py::test_a_sweep_that_was_compiled_for_another_key_discards_nothing"],
    ),
    Mutant(
        "new-columns-go-out",
        "a new column goes to the target whatever `new_columns` says",
        [Swap("syncline/model/new_columns.py", "_visible", "if fields.new_columns != 'sync': ...", "if False: ...")],
        [f"{NEW}::test_ignore_leaves_a_new_column_out_until_the_configuration_takes_it_in"],
        quick=True,
    ),
    Mutant(
        "renamed-secret-goes-out",
        "an excluded column under another name is taken for a new one",
        [
            Swap(
                "syncline/model/new_columns.py",
                "_visible",
                "hidden = {name for _, name in new.renamed}",
                "hidden: set[str] = set()",
            )
        ],
        [f"{NEW}::test_an_excluded_column_that_is_renamed_stays_out"],
    ),
    Mutant(
        "automation-decides",
        "an installation takes note of new columns also where they are ignored, or wait for a decision",
        [
            Swap(
                "syncline/model/new_columns.py",
                "note",
                "if 'sync' not in {fields.new_columns, before.get(place, 'sync')}: ...",
                "if False: ...",
            )
        ],
        [f"{NEW}::test_ignore_leaves_a_new_column_out_until_the_configuration_takes_it_in"],
    ),
    Mutant(
        "gap-not-noted",
        "a trigger that cannot mark lets the write go on, and nobody hears of it",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "gap",
                "INSERT INTO syncline.task (kind, entity, reason)\n"
                "                SELECT kind, {id}, 'capture gap' FROM unnest({kinds}::text[]) AS kind;",
                "",
            )
        ],
        [f"{WRITES}::test_a_write_that_cannot_be_marked_goes_on_and_leaves_a_note_in_its_transaction"],
    ),
    Mutant(
        "event-trigger-fails-changes",
        "an error of the event trigger is an error of the user's change",
        [Swap("syncline/capture/postgres/event_triggers.sql", "body", "EXCEPTION WHEN OTHERS THEN\n    NULL;", "")],
        ["tests/cases/test_event_triggers.py::test_a_change_never_fails_because_of_the_event_trigger"],
    ),
    Mutant(
        "own-changes-looked-at",
        "our own installation is taken for a change that ends capture",
        [
            Swap(
                "syncline/capture/postgres/event_triggers.sql",
                "body",
                "current_setting('syncline.installing', true) = 'on'",
                "false",
            )
        ],
        ["tests/cases/test_event_triggers.py::test_other_changes_and_installations_say_nothing"],
    ),
    Mutant(
        "another-key-served",
        "an entity whose key is another one than was installed is served",
        [
            Swap(
                f"{POSTGRES}/plans.py",
                "_refuse_another_key",
                "if then != [(column.name, _family(column.type)) for column in key]: ...",
                "if False: ...",
            )
        ],
        [f"{SCHEMA}::test_what_ends_capture_is_said_and_healed_by_an_installation"],
    ),
    # -- stops
    Mutant(
        "cancelled-once",
        "a task that loses its cancellation is waited for, for ever",
        [
            Swap(
                "syncline/ending.py",
                "Group._abort",
                "not self._exiting or any(not task.done() for task in self._tasks)",
                "False",
            )
        ],
        ["tests/unit/test_ending.py::test_a_group_that_is_cancelled_ends_though_a_task_loses_it"],
    ),
    Mutant(
        "stop-without-deadline",
        "a worker waits for its helpers, however long they take to end",
        [
            Swap(
                f"{RELAY}/worker.py",
                "Worker.run",
                "asyncio.wait({working}, timeout=CUT_OFF_SECONDS)",
                "asyncio.wait({working}, timeout=None)",
            )
        ],
        [f"{STOP}::test_a_helper_that_never_ends_does_not_keep_a_worker"],
        quick=True,
    ),
    Mutant(
        "claims-stay",
        "a worker that leaves keeps what its helpers had claimed and could not give back",
        [Swap(f"{JOURNAL}/queries.sql", "leave", "WHERE claimed_by = %(worker)s ), passes", "WHERE false ), passes")],
        [f"{STOP}::test_a_stopped_worker_gives_back_what_its_helpers_could_not"],
    ),
    # -- one record never stops the others
    Mutant(
        "write-errors-by-a-list-of-codes",
        "only write errors with a known code are the record's; the others stop the flow",
        [
            Swap(
                f"{MONGO}/errors.py",
                "of",
                "labelled or is_servers_own(one)",
                "labelled or is_servers_own(one) or one['code'] not in {2, 9, 14, 121, 10334, 16755}",
            )
        ],
        [f"{REJECTED}::test_write_errors_of_one_document_park_it_at_once"],
        quick=True,
    ),
    Mutant(
        "servers-state-is-the-records",
        "a lost shard or a full disk parks the records that meet it",
        [Swap(f"{MONGO}/errors.py", "of", "labelled or is_servers_own(one)", "labelled")],
        [f"{REJECTED}::test_a_lost_shard_or_a_full_disk_parks_nothing"],
    ),
    Mutant(
        "search-without-end",
        "rows that cannot be read are all found in one batch, and the others wait for it",
        [Swap(f"{RELAY}/planner.py", "Planner._states", "STATEMENTS", "None")],
        [f"{REJECTED}::test_the_search_for_rows_that_cannot_be_read_is_cut_into_batches"],
    ),
    Mutant(
        "search-on-the-shared-way",
        "rows that cannot be read are looked for where all entities are read",
        [
            Swap(
                f"{RELAY}/pump.py",
                "Pump._read_all",
                "tasks.create_task(self._serve_apart(group))",
                "await self._serve_apart(group)",
            )
        ],
        [f"{REJECTED}::test_no_other_entity_waits_while_rows_that_cannot_be_read_are_looked_for"],
    ),
    Mutant(
        "crowd-on-the-shared-way",
        "records of an entity of which many cannot be written fill the batches that all share",
        [Swap(f"{RELAY}/planner.py", "Planner.fill", "entity in crowds", "False")],
        [
            f"{CROWDS}::test_no_other_entity_waits_while_a_crowd_is_written",
            f"{CROWDS}::test_a_crowd_is_written_in_parts_one_after_the_other",
        ],
    ),
    Mutant(
        "crowd-for-ever",
        "an entity whose records can be written again stays apart",
        [Swap(f"{RELAY}/apart.py", "Crowds.leave", "group.unwritten <= SHARE * group.served", "False")],
        [f"{CROWDS}::test_an_entity_whose_records_can_be_written_again_goes_with_the_others"],
    ),
    Mutant(
        "success-of-others-acquits",
        "a batch that brings the target down is not searched while others are written",
        [Swap(f"{RELAY}/poison.py", "Poison.succeeded", "not self._failed", "True")],
        [f"{CROWDS}::test_a_record_that_the_target_cannot_stand_is_found_in_a_crowd_beside_others"],
    ),
    Mutant(
        "gone-behind-a-refused-one",
        "a record takes its document away although the one whose value it waits for cannot be written",
        [Swap(f"{RELAY}/conflicts.py", "Conflicts.settle", "not self._is_refused(plan, holder)", "True")],
        [f"{NEIGHBOURS}::test_nobody_takes_its_document_away_behind_a_record_that_cannot_be_written"],
    ),
    Mutant(
        "refused-tried-at-every-turn",
        "a record that cannot be written is tried as often as the one that waits for its value",
        [Swap(f"{RELAY}/conflicts.py", "Conflicts._rightful", "not self._is_refused(plan, holder)", "True")],
        [f"{NEIGHBOURS}::test_a_record_that_cannot_be_written_is_not_tried_at_every_turn_of_who_waits_for_it"],
    ),
    Mutant(
        "replies-decoded-strictly",
        "a message that MongoDB has cut within a character fails the whole reply",
        [Swap("syncline/engines/mongo/writes.py", "Writes.command", "REPLIES", "CODEC")],
        [f"{NEIGHBOURS}::test_a_long_value_leaves_a_short_message"],
    ),
    Mutant(
        "message-as-it-is",
        "a message that the source has no bytes for fails the acknowledgement of the whole batch",
        [
            Swap(
                f"{JOURNAL}/acknowledge.py", "parameters", "sayable(connection, rejection.message)", "rejection.message"
            )
        ],
        [f"{NEIGHBOURS}::test_a_holder_that_the_source_cannot_write_is_nobodys_record"],
    ),
    Mutant(
        "sifted-in-one-breath",
        "documents are encoded one by one while everybody waits",
        [Swap("syncline/engines/mongo/errors.py", "portions", "number % BREATH == 0", "False")],
        [f"{CROWDS}::test_others_have_their_turn_while_documents_are_encoded_one_by_one"],
    ),
    Mutant(
        "mapped-in-one-breath",
        "rows are mapped one by one while everybody waits",
        [Swap(f"{RELAY}/planner.py", "_unmappable", "number % BREATH == 0", "False")],
        [f"{CROWDS}::test_others_have_their_turn_while_rows_are_mapped_one_by_one"],
    ),
    Mutant(
        "gone-for-a-moment-ends-a-worker",
        "a worker ends for a table of ours that was put back before it looked",
        [Swap(f"{RELAY}/worker.py", "Worker._cause", "isinstance(error, NotInstalledError)", "False")],
        [f"{MENDING}::test_what_was_put_back_before_a_worker_could_look_ends_none"],
    ),
    Mutant(
        "a-rule-of-somebody-ends-a-worker",
        "a worker ends for a constraint that somebody has put on the outbox",
        [Swap("syncline/postgres/connection.py", "_refused", "error.diag.schema_name == current().schema", "False")],
        [f"{MENDING}::test_a_mark_of_a_worker_that_is_refused_elsewhere_ends_it_no_more"],
    ),
    Mutant(
        "notices-of-nobody",
        "an open notice that has lost its entity stays for ever",
        [Swap("syncline/capture/postgres/halves.py", "plan_missing", "part.name == 'notice.entity'", "False")],
        [f"{OURS}::test_open_notices_say_again_whom_they_are_about"],
    ),
    Mutant(
        "a-table-that-goes-away-is-a-defect",
        "a table that goes away while an installation is planned is an error of Syncline's own",
        [Swap("syncline/capture/postgres/install.py", "_families", "table not in roots", "False")],
        [f"{OURS}::test_a_table_that_goes_away_while_it_is_looked_at_is_named"],
    ),
    Mutant(
        "listens-without-a-look",
        "what was committed before a session listens waits for the next poll",
        [
            Swap(
                f"{POSTGRES}/waker.py",
                "PostgresWaker.listen",
                "await self._listener.execute(self._listen)\nwake(False)",
                "await self._listener.execute(self._listen)",
            )
        ],
        [f"{WAKES}::test_what_is_committed_before_a_session_listens_is_seen"],
    ),
    Mutant(
        "any-holder-will-do",
        "who relies on a wake lock does not notice that it has changed hands",
        [
            Swap(
                f"{RELAY}/keeper.py",
                "Keeper._wakes_nobody",
                "waker.another_holds_still()",
                "waker.another_holds()",
            )
        ],
        [f"{WAKES}::test_a_change_between_two_holders_of_the_wake_lock_is_seen"],
    ),
    Mutant(
        "locked-table-holds-up-all",
        "a table that is locked ends the session, for all entities",
        [
            Swap(
                f"{RELAY}/planner.py",
                "Planner._states",
                "isinstance(error, TableLockedError) or is_of_records(error)",
                "is_of_records(error)",
            )
        ],
        [f"{WAKES}::test_a_locked_table_holds_up_no_other_entity"],
    ),
    Mutant(
        "stands-back-for-ever",
        "an entity that stood back is served again only when something else ends the session",
        [Swap(f"{RELAY}/keeper.py", "Keeper._beat", "now >= self._retry_due", "False")],
        [f"{WAKES}::test_an_entity_that_stood_back_is_tried_again"],
    ),
    Mutant(
        "floor-over-what-is-left-out",
        "the floor rises over marks of an entity that is read apart",
        [Swap(f"{RELAY}/reader.py", "Reader.next", "not self._apart", "True")],
        [f"{REJECTED}::test_marks_that_come_while_an_entity_is_read_apart_stay_above_the_floor"],
    ),
    Mutant(
        "numbers-fall",
        "a batch whose marks took long to read takes the counter back",
        [
            Swap(
                f"{RELAY}/reader.py", "Reader.next", "self._number = max(number, self._number)", "self._number = number"
            )
        ],
        [f"{REJECTED}::test_batch_numbers_never_fall_however_many_are_drawn_while_marks_are_read"],
    ),
    # -- the mapping
    Mutant(
        "far-dates-as-they-are",
        "infinity becomes a date that many drivers cannot read",
        [Swap("syncline/model/types.py", "readable", "dates == 'exact'", "True")],
        ["tests/cases/test_far_dates.py::test_the_nearest_date_still_sorts_and_compares_as_a_date"],
    ),
    Mutant(
        "new-default-unnoticed",
        "what a changed default makes of dates is not part of the fingerprint",
        [Swap("syncline/model/mapping.py", "Projection.__init__", "_far_dates((self, *self.embeds))", "[]")],
        ["tests/cases/test_far_dates.py::test_installations_of_before_are_marked_again"],
    ),
    Mutant(
        "references-that-print-otherwise",
        "numeric(10,3) under numeric(10,2) is taken for the same key text",
        [
            Swap(
                "syncline/model/mapping.py",
                "_prints_alike",
                "column.deterministic and (column.base != 'numeric' or column.scale == parent.scale)",
                "True",
            )
        ],
        ["tests/cases/test_declared.py::test_14_a_childs_reference_must_print_as_the_parents_key_does"],
    ),
    Mutant(
        "path-of-whoever-asks",
        "where and computed fields are evaluated under the path of each role",
        [Swap("syncline/postgres/path.py", "pin_path", "row is None or row[0] is None", "True")],
        ["tests/cases/test_expressions.py::test_11_where_and_computed_mean_the_same_for_everybody"],
    ),
    Mutant(
        "subqueries-trusted",
        "an expression may read other rows",
        [Swap("syncline/capture/postgres/expressions.py", "_refuse_reading", "if not tables: ...", "if True: ...")],
        ["tests/cases/test_expressions.py::test_12_what_reads_other_rows_is_refused"],
    ),
    Mutant(
        "percent-signs-as-placeholders",
        "a column's percent sign is left for the driver to read",
        [Swap("syncline/engines/postgres/projection_sql.py", "named", "part.replace('%', '%%')", "part")],
        ["tests/cases/test_names.py::test_18_a_key_of_any_name_and_its_children_are_followed"],
    ),
    # -- whose session it is
    Mutant(
        "set-before-asked",
        "settings are made for good on a session before it is known whose it is",
        [
            Swap(
                "syncline/postgres/connection.py",
                "connect",
                "began = time.monotonic()\nconnection = await opened()",
                "began = time.monotonic()\nconnection = await opened()\n"
                "await connection.execute(pins.statement(pins.POSTGRESQL, local=False))",
            )
        ],
        [f"{POOLERS}::TestTransactionMode::test_a_command_leaves_the_applications_sessions_as_they_were"],
    ),
    Mutant(
        "every-session-ours",
        "what a pooler lends for a transaction is taken for our own",
        [
            Swap(
                "syncline/postgres/connection.py",
                "connect",
                "pooling = Pooling.TRANSACTION if declared else found or await poolers.mode_of(connection, opened)",
                "pooling = Pooling.NONE",
            )
        ],
        [f"{POOLERS}::test_a_worker_behind_a_pooler_writes_what_a_direct_one_writes"],
    ),
    Mutant(
        "another-server-unseen",
        "a pooler may lead to another server between two transactions",
        [
            Swap(
                "syncline/postgres/lent.py",
                "SourceConnection.begin",
                "if self._server is not None and server != self._server: ...",
                "if False: ...",
            )
        ],
        [f"{POOLERS}::test_another_server_behind_the_pooler_ends_the_connection"],
    ),
    Mutant(
        "woken-against-the-setting",
        "a worker listens and takes the wake lock whatever `wake` says",
        [
            Swap(
                "syncline/engines/opening.py",
                "open_source",
                "if wake and not is_lent(control): ...",
                "if True: ...",
            )
        ],
        [f"{POOLERS}::test_a_worker_that_shall_not_be_woken_takes_no_lock_and_does_not_listen"],
    ),
    # -- replicas
    Mutant(
        "replica-not-awaited",
        "a replica is read before it has what was committed before the pass",
        [
            Swap(
                f"{VERIFICATION}/side.py",
                "SqlSide.arrived",
                "if self._replica and dialect_of(self._primary) is Dialect.POSTGRESQL: ...",
                "if False: ...",
            )
        ],
        [
            f"{TESTS}/test_replica.py::test_a_change_that_was_lost_before_the_pass_is_found_though_the_replica_is_behind",
            f"{TESTS}/test_replica.py::test_a_replica_that_stays_behind_is_an_error_and_leaves_nothing",
        ],
    ),
    Mutant(
        "second-look-at-the-replica",
        "differences are looked at again where the pages come from",
        [Swap(f"{VERIFICATION}/side.py", "SqlSide.__init__", "SqlLooks(looks)", "SqlLooks(pages)")],
        [f"{TESTS}/test_replica.py::test_changes_during_the_pass_that_the_replica_lacks_are_no_differences"],
    ),
    # -- what can be a target
    Mutant(
        "collections-not-looked-at",
        "a worker starts whatever its collections are",
        [
            Swap(
                f"{MONGO}/suitability.py",
                "require_suitable",
                "unsuitable = await look(ask, entities, control)",
                "unsuitable = {}",
            )
        ],
        [
            "tests/cases/test_targets_refused.py::test_a_worker_does_not_start",
            "tests/cases/test_targets_refused.py::test_install_refuses_before_anything_is_changed",
        ],
    ),
    # -- installing
    Mutant(
        "writers-wait-behind",
        "an installation waits for locks without end, and writers behind it",
        [
            Swap(
                "syncline/capture/postgres/carry_out.py",
                "prologue",
                "[('lock_timeout', milliseconds), ('statement_timeout', holds * milliseconds if hold else 0)]",
                "[]",
            )
        ],
        ["tests/cases/test_one_table_at_a_time.py::test_no_write_waits_behind_an_installation_that_waits_for_others"],
    ),
    Mutant(
        "own-triggers-marked-anew",
        "an upgrade that replaces triggers makes workers mark their entities once more",
        [
            Swap(
                "syncline/capture/postgres/plan.py",
                "plan_triggers",
                "_own_replacements(wanted, present) if upgraded else set()",
                "set()",
            )
        ],
        ["tests/cases/test_installers.py::test_triggers_that_an_upgrade_replaces_are_no_reason_to_mark_anew"],
    ),
    Mutant(
        "foreign-triggers-pass-as-own",
        "an upgrade takes triggers that somebody else has made for those that workers know",
        [
            Swap(
                "syncline/capture/postgres/triggers.sql",
                "observed_before",
                "    = (SELECT",
                "    IS NOT NULL OR false AND '{{}}' = (SELECT",
            )
        ],
        ["tests/cases/test_installers.py::test_triggers_that_somebody_else_made_anew_are_one_also_beside_an_upgrade"],
    ),
    Mutant(
        "overtaken-gives-up",
        "an installer that somebody else was faster than ends with the database's error",
        [Swap("syncline/capture/postgres/install.py", "install_in_turn", "range(TURNS)", "range(0)")],
        ["tests/cases/test_installers.py::test_an_installer_that_was_overtaken_plans_again"],
    ),
    Mutant(
        "lock-timeout-removed",
        "an installation waits for a table's lock, and writers behind it, as long as an attempt may take",
        [
            Swap(
                "syncline/capture/postgres/carry_out.py",
                "prologue",
                "[('lock_timeout', milliseconds), ('statement_timeout', holds * milliseconds if hold else 0)]",
                "[('statement_timeout', holds * milliseconds if hold else 0)]",
            )
        ],
        [
            "tests/cases/test_one_table_at_a_time.py::test_each_table_is_one_message_with_limits_on_each_lock_and_on_the_whole"
        ],
    ),
    Mutant(
        "backfill-before-arming",
        "records are marked before every table of their entity has its triggers",
        [
            Swap(
                "syncline/capture/postgres/plan_entities.py",
                "plan_backfills",
                "plan.arm(ids[name], None, *requests)",
                "plan.add(None, *requests)",
            )
        ],
        [
            "tests/cases/test_one_table_at_a_time.py::test_29_what_others_hold_waits_and_the_rest_is_installed_and_free_at_once"
        ],
    ),
    # -- the session cache
    Mutant(
        "outdated-fill-kept",
        "a session that was loaded before it was revoked is kept",
        [
            Swap(
                "syncline/cache/sessions.py",
                "SessionCache._loading.run",
                "self.current and missed == self._missed and max(self._revoked.of(kept.names)) <= revoked",
                "self.current and missed == self._missed",
            )
        ],
        [f"{SESSIONS}::test_a_load_that_began_before_a_revocation_is_never_kept"],
    ),
    Mutant(
        "fill-across-a-gap-kept",
        "a session that was loaded while revocations were missed is kept",
        [
            Swap(
                "syncline/cache/sessions.py",
                "SessionCache._loading.run",
                "self.current and missed == self._missed and max(self._revoked.of(kept.names)) <= revoked",
                "self.current and max(self._revoked.of(kept.names)) <= revoked",
            )
        ],
        [f"{SESSIONS}::test_missed_revocations_empty_it_and_what_is_being_loaded_is_not_kept"],
    ),
    Mutant(
        "old-load-joined",
        "who comes after a revocation gets the answer of a load from before it",
        [
            Swap(
                "syncline/cache/sessions.py",
                "SessionCache._flight",
                "(session_id, self._revoked.now, self._missed, None if current else int(self._clock() / DELAY))",
                "(session_id, None if current else int(self._clock() / DELAY))",
            )
        ],
        [f"{SESSIONS}::test_who_comes_after_a_revocation_does_not_join_a_load_from_before_it"],
    ),
    Mutant(
        "silence-is-proof",
        "kept sessions are given although nothing proves that revocations arrive",
        [
            Swap(
                "syncline/cache/listener.py",
                "Listener.current",
                "boottime() < self._until",
                "self._ready.is_set()",
            )
        ],
        [f"{REVOCATIONS}::test_while_the_server_is_silent_the_cache_is_not_used"],
    ),
    Mutant(
        "sleep-is-no-silence",
        "what was proved before the machine slept is taken for a proof of now",
        [Swap("syncline/cache/listener.py", "Listener.current", "boottime()", "__import__('time').monotonic()")],
        [f"{SESSIONS}::test_what_was_proved_before_the_machine_slept_proves_nothing"],
    ),
    Mutant(
        "kept-across-connections",
        "what was revoked between two connections is not missed",
        [Swap("syncline/cache/listened.py", "ListenedRevocations.listen", "heard(None)", "None")],
        [f"{REVOCATIONS}::test_a_lost_connection_empties_the_cache"],
    ),
    Mutant(
        "poll-by-the-newest-transaction",
        "a poll reads from the newest transaction on: one that commits late is never read",
        [Swap("syncline/cache/revocations.sql", "newer", "pg_snapshot_xmin", "pg_snapshot_xmax")],
        [f"{REVOCATIONS}::test_a_transaction_that_began_long_ago_and_commits_late_is_heard"],
    ),
    Mutant(
        "revocation-aged-while-it-ran",
        "a revocation is old by when it was written: that of a long transaction goes before a poll has seen it",
        [
            Swap(
                "syncline/cache/revocations.sql",
                "setup",
                "r.tx < (SELECT max(o.ended) FROM syncline_sessions.revocation AS o WHERE o.at < now() - interval '10 minutes')",
                "r.at < now() - interval '10 minutes'",
            )
        ],
        [f"{REVOCATIONS}::test_a_revocation_stays_for_ten_minutes_from_the_end_of_its_transaction"],
    ),
    # -- the schema of tables that move
    Mutant(
        "move-acts-early",
        "triggers are enabled before the new side is opened",
        [
            Swap(
                "syncline/split/schema/steps.py",
                "Maker._switched",
                '[text, f"ALTER TABLE {on} DISABLE {kind.upper()} {name}"]',
                "[text]",
            )
        ],
        [f"{MOVED}::test_before_the_opening_nothing_acts_on_rows_that_are_carried_over"],
    ),
    Mutant(
        "move-keys-at-once",
        "foreign keys are checked at once while rows are followed",
        [
            Swap(
                "syncline/split/schema/steps.py",
                "Maker._foreign_key",
                'f"ALTER TABLE {on} ADD CONSTRAINT {name} {text} DEFERRABLE INITIALLY DEFERRED"',
                'f"ALTER TABLE {on} ADD CONSTRAINT {name} {text}"',
            )
        ],
        [f"{MOVED}::test_before_the_opening_nothing_acts_on_rows_that_are_carried_over"],
    ),
    Mutant(
        "move-with-obstacles",
        "the schema is made although something cannot move",
        [Swap("syncline/split/schema/carrying.py", "see_that_it_may", "one.id not in expected", "False")],
        [f"{MOVED}::test_what_cannot_move_is_said_before_anything_is_done"],
    ),
    Mutant(
        "move-half-a-step",
        "a killed run's steps are all done again",
        [
            Swap(
                "syncline/split/schema/planning.py",
                "Plan.pending",
                "step.phase in phases and step.done not in self.there",
                "step.phase in phases",
            )
        ],
        [f"{MOVED}::test_a_run_that_is_killed_anywhere_is_gone_on_with"],
    ),
    Mutant(
        "follow-the-default-afresh",
        "a column that came gets its default's value of the other side's moment",
        [
            Swap(
                "syncline/split/schema/changes.py",
                "_added",
                "None if column.missing is None else _literal(column.missing, column.type)",
                "column.default",
            )
        ],
        [f"{ALTERED}::test_an_alteration_is_followed"],
    ),
    Mutant(
        "follow-any-type",
        "a column's type is changed over there, whatever becomes of values",
        [Swap("syncline/split/schema/changes.py", "_altered", "is_widening(old.type, new.type)", "True")],
        [f"{ALTERED}::test_what_cannot_be_followed_stops_the_table_and_is_named"],
    ),
    Mutant(
        "follow-renamed-columns",
        "a column that was renamed is taken for what it was",
        [Swap("syncline/split/schema/changes.py", "_columns", "if renamed: ...", "if False: ...")],
        [f"{ALTERED}::test_what_cannot_be_followed_stops_the_table_and_is_named"],
    ),
    Mutant(
        "follow-columns-added-anew",
        "a column that was dropped and added anew is emptied over there, whatever was written into it",
        [Swap("syncline/split/schema/changes.py", "_columns", "column.name in came", "False")],
        [f"{ALTERED}::test_what_cannot_be_followed_stops_the_table_and_is_named"],
    ),
    Mutant(
        "move-drops-columns-unheld",
        "a column that comes while one of its name goes is emptied over there",
        [Swap(f"{MOVING}/altering.py", "Watcher._altered", "again.fingerprint != definition.fingerprint", "False")],
        [f"{TESTS}/test_split_move_altered.py::test_a_column_that_comes_while_one_of_its_name_goes_is_seen_first"],
    ),
    # -- the boundary guard
    Mutant(
        "backup-of-two-moments",
        "the digests are of another snapshot than the dump",
        [Swap("syncline/split/backup/contents.py", "snapshot", "of is not None", "False")],
        [f"{BACKUP}::test_what_is_committed_while_it_is_dumped_is_not_in_it"],
    ),
    Mutant(
        "backup-half-listed",
        "an archive is listed without a look at whether it is there",
        [Swap("syncline/split/backup/shelf.py", "shelf", "manifest.archive not in names", "False")],
        [f"{BACKUP}::test_an_archive_without_its_manifest_or_the_other_way_round_is_no_backup"],
    ),
    Mutant(
        "backup-manifest-believed",
        "the manifest outside is not compared with the one inside",
        [Swap("syncline/split/backup/streams.py", "_compare", "inner != outer.inner()", "False")],
        [f"{BACKUP}::test_a_manifest_that_was_tampered_with_is_found"],
    ),
    Mutant(
        "backup-rows-not-compared",
        "a restore is compared by numbers of rows alone",
        [Swap("syncline/split/backup/contents.py", "_of_tables", "after.tables[name][1] != digest", "False")],
        [f"{BACKUP}::test_rows_that_a_restore_has_changed_are_found"],
    ),
    Mutant(
        "two-runners",
        "runners of migrations do not keep each other out",
        [
            Swap(
                "syncline/split/migrations/session.py",
                "alone",
                "take(connection, tree.name, patience.runner_seconds)",
                "pass",
            )
        ],
        [f"{MIGRATIONS}::test_runners_at_once_apply_each_revision_once"],
    ),
    Mutant(
        "migrations-unseen",
        "what a revision sends beyond its SQL is not looked at",
        [Swap("syncline/split/migrations/session.py", "Watch.look", "not self.exempt", "False")],
        [f"{MIGRATIONS}::test_what_its_sql_does_not_show_is_refused_when_it_is_sent"],
    ),
    Mutant(
        "migrations-drop-the-others",
        "a side's comparison sees the other side's tables",
        [
            Swap(
                "syncline/split/migrations/comparing.py",
                "Own._is_own",
                "self._ownership.owner(table) == self._name",
                "True",
            )
        ],
        [f"{MIGRATIONS}::test_new_writes_what_its_own_models_lack_and_drops_nothing_of_others"],
    ),
    Mutant(
        "migrations-applied-unjudged",
        "a revision that touches another database's tables is applied",
        [Swap("syncline/split/migrations/running.py", "migrate", "judged.crossings", "False")],
        [f"{MIGRATIONS}::test_a_revision_that_touches_the_other_sides_tables_is_refused_before_anything_is_applied"],
    ),
    Mutant(
        "explained-execute-unseen",
        "EXPLAIN ANALYZE EXECUTE is taken for a statement without tables",
        [Swap("syncline/split/tree.py", "Walk.explain", "self.executes = inner.executes", "pass")],
        ["tests/unit/test_statements.py::test_what_cannot_be_seen_into_is_said"],
    ),
    Mutant(
        "users-tables-taken-for-postgresqls",
        "a user's table whose name begins with pg_ is passed over",
        [Swap("syncline/split/names.py", "Name.is_system", "self.name in _CATALOG", "self.name.startswith('pg_')")],
        ["tests/unit/test_statements.py::test_tables_are_found_by_what_is_done_with_them"],
    ),
    Mutant(
        "called-functions-not-followed",
        "a function that reaches the other side through another one is passed over",
        [Swap("syncline/split/obstacles.py", "Ties._reach", "tables[oid] |= tables[other]", "pass")],
        ["tests/integration/test_split_check.py::test_each_planted_tie_is_found_and_nothing_else"],
    ),
    Mutant(
        "expired-exemption-holds",
        "an exemption holds after its last day",
        [Swap("syncline/split/findings.py", "Exemptions.__init__", "one.until >= today", "True")],
        ["tests/unit/test_boundary_guard.py::test_an_expired_exemption_lets_nothing_through"],
    ),
    Mutant(
        "second-database-written",
        "a transaction that has written to one database may write to another",
        [Swap("syncline/split/routing.py", "Routing._note", "ledger.changed |= verdict.changed", "pass")],
        ["tests/unit/test_named_databases.py::test_a_transaction_that_writes_two_databases_is_refused"],
    ),
    Mutant(
        "row-locks-are-no-writes",
        "a transaction may lock rows of a second database",
        [Swap("syncline/split/routing.py", "Routing._settled", "script.written | script.locked", "script.written")],
        ["tests/unit/test_named_databases.py::test_a_transaction_that_writes_two_databases_is_refused"],
    ),
    Mutant(
        "single-mode-lenient",
        "what would not work after a split passes in single mode",
        [
            Swap(
                "syncline/split/routing.py",
                "Routing.look",
                "database not in verdict.owners",
                "database not in verdict.owners and self.split",
            )
        ],
        ["tests/unit/test_named_databases.py::test_the_wrong_database_is_refused_with_the_right_ones_name"],
    ),
    Mutant(
        "with-names-are-tables",
        "names that WITH gives are taken for tables",
        [Swap("syncline/split/tree.py", "Walk._add", "name.name in scope.hidden", "False")],
        ["tests/unit/test_statements.py::test_tables_are_found_by_what_is_done_with_them"],
    ),
    Mutant(
        "prepared-behind-a-pooler",
        "statements are prepared on sessions that a pooler lends",
        [Swap("syncline/split/address.py", "Address.arguments", "{**given, 'prepare_threshold': None}", "given")],
        ["tests/integration/test_split_databases.py::test_everything_works_through_a_pooler_in_transaction_mode"],
    ),
    Mutant(
        "same-database-unseen",
        "two URLs of one database are taken for two databases where its identifier may not be read",
        [Swap("syncline/split/examination.py", "Identity.is_same", "self.started == other.started", "False")],
        [
            "tests/integration/test_split_doctor.py::test_a_role_that_may_not_read_the_clusters_identifier_is_no_hindrance"
        ],
    ),
    Mutant(
        "ledger-outlives-its-transaction",
        "what an earlier transaction wrote counts against the next one",
        [Swap("syncline/split/sessions.py", "_note_end", "session.ledger.clear()", "pass")],
        ["tests/integration/test_split_databases.py::test_bulk_statements_find_theirs_and_no_second_one_is_written"],
    ),
    Mutant(
        "union-without-a-statement",
        "a UNION of columns of models goes to the default database",
        [
            Swap(
                "syncline/split/sessions.py",
                "_keep_clause",
                "state.bind_arguments.setdefault('clause', state.statement)",
                "pass",
            )
        ],
        ["tests/integration/test_split_databases.py::test_a_session_finds_the_database_of_each_statement"],
    ),
    # -- our own schema beside other tools
    Mutant(
        "put-back-unmarked",
        "a table of ours that another tool has dropped is put back, and nobody looks at what was missed meanwhile",
        [
            Swap(
                "syncline/capture/postgres/halves.py",
                "plan_missing",
                "for name in names:\n    plan.stale(name)",
                "pass",
            )
        ],
        [f"{OURS}::test_case_26_what_another_tool_dropped_is_put_back"],
    ),
    Mutant(
        "put-back-unswept",
        "deletes that were lost with a table of ours stay in the target",
        [
            Swap(
                "syncline/capture/postgres/halves.py", "plan_missing", "plan.sweep_all = True", "plan.sweep_all = False"
            )
        ],
        [f"{OURS}::test_case_26_what_another_tool_dropped_is_put_back"],
    ),
    Mutant(
        "numbers-begin-anew",
        "marks of a new outbox have numbers that workers have read past",
        [
            Swap(
                "syncline/capture/postgres/halves.py",
                "_numbers",
                "if not part.identity or dialect is Dialect.COCKROACHDB: ...",
                "if True: ...",
            )
        ],
        [f"{OURS}::test_new_marks_stand_above_all_that_workers_have_read"],
    ),
    Mutant(
        "damage-unsaid",
        "a worker or command that finds our schema in halves goes on until a statement fails",
        [Swap(f"{JOURNAL}/parts.py", "require_whole", "if lacking: ...", "if False: ...")],
        [f"{OURS_SAID}::test_case_26_commands_say_what_is_missing_and_what_puts_it_back"],
    ),
    Mutant(
        "another-installation-is-made",
        "without the table that says which installation this is, its other tables are used on",
        [Swap(f"{JOURNAL}/parts.py", "missing_parts", "if lost: ...", "if False: ...")],
        [f"{OURS}::test_case_26_without_the_installation_s_id_the_commands_that_start_over_are_named_and_do"],
    ),
    Mutant(
        "taken-name-used",
        "questions about changes read a relation that is somebody else's",
        [Swap("syncline/capture/postgres/schema.py", "plan_view", "raise taken(schema, name)", "pass")],
        [f"{VIEW}::test_case_40_a_name_that_is_taken_is_not_used"],
    ),
    Mutant(
        "differing-file-passes",
        "`install --check` ends well whatever the file says",
        [Swap("syncline/cli/install.py", "install", "if check and differs: ...", "if False: ...")],
        [f"{DIFFERING}::test_a_differing_file_is_an_error_of_install_check_until_it_is_installed"],
    ),
    Mutant(
        "target-looked-for-too-long",
        "a MongoDB that is away is looked for as long as a command may take",
        [
            Swap(
                f"{MONGO}/target.py",
                "MongoTarget.timeout_seconds",
                "self._command_seconds if known else self._finding_seconds",
                "self._command_seconds",
            )
        ],
        ["tests/cases/test_every_setting.py::test_the_target_is_opened_as_configured"],
    ),
    Mutant(
        "late-callbacks-print",
        "a callback of the driver's prints a traceback after Ctrl-C",
        [Swap("syncline/cli/common.py", "run", "ending.quiet_when_cancelled(work)", "work")],
        ["tests/unit/test_cli_boundary.py::test_after_an_interrupt_no_callback_prints_a_traceback"],
    ),
    Mutant(
        "each-task-learns-anew",
        "every small table pays for learning how fast the source commits",
        [
            Swap(
                "syncline/backfill/runner.py",
                "Runner._work",
                "Pacer(self.tasks, pace, task.options, latency=self._latency, permit=permit)",
                "Pacer(self.tasks, pace, task.options, permit=permit)",
            )
        ],
        [f"{TESTS}/test_backfill.py::test_what_is_usual_of_the_source_is_learnt_once_for_all_tasks"],
    ),
    Mutant(
        "history-without-a-key",
        "the history has no primary key",
        [
            Swap(
                f"{JOURNAL}/schema.sql",
                "TABLE syncline.history",
                "payload jsonb, PRIMARY KEY (seq, processed_at)",
                "payload jsonb",
            )
        ],
        ["tests/cases/test_primary_keys.py::test_every_table_of_ours_has_a_primary_key"],
    ),
    Mutant(
        "tables-of-others-dropped",
        "an uninstallation drops its schema whatever others keep in it",
        [Swap("syncline/capture/postgres/removal.py", "plan_removal", "await strangers.refuse_to_drop(conn)", "pass")],
        ["tests/cases/test_schemas_named_alike.py::test_our_schema_is_not_dropped_with_a_table_of_others"],
    ),
    # -- the fence of an SQL target
    Mutant(
        "sql-no-lock",
        "a batch reads its lanes' epochs without holding them",
        [
            Swap(
                f"{SQL}/fence.sql",
                "enter",
                "PERFORM pg_advisory_xact_lock_shared(link, o.lane)"
                " FROM (SELECT unnest(lanes) AS lane ORDER BY 1) AS o;",
                "",
            )
        ],
        [f"{SQL_FENCE}::test_an_announcement_waits_for_the_lanes_open_batches"],
        quick=True,
    ),
    Mutant(
        "sql-lock-of-null",
        "where the number of the link's locks is gone, a batch is written without any",
        [Swap(f"{SQL}/fence.sql", "enter", "IF link IS NULL THEN", "IF false THEN")],
        [f"{SQL_FENCE}::test_without_a_number_for_its_locks_nothing_is_written_and_the_next_renewal_draws_one"],
    ),
    Mutant(
        "sql-redrawn-at-once",
        "another number for the locks is drawn while batches hold lanes by the old one",
        [Swap(f"{SQL}/fence.py", "Control.prepare", "missing = ('no_batches', 'draw')", "missing = ('draw',)")],
        [f"{SQL_FENCE}::test_another_number_is_drawn_when_no_batch_holds_lanes_by_the_old_one"],
    ),
    Mutant(
        "sql-compared-last",
        "nobody waits: a batch's last statement sets its lanes' epochs, unless higher ones stand there",
        [
            Swap(
                f"{SQL}/fence.py",
                "Control._raise_free",
                "return await self._raised(connection, {lane: epochs[lane] for lane in free})",
                "return set(epochs)",
            ),
            Swap(f"{SQL}/writing.py", "Writing._at_once", ENTERED_FIRST, ENTERED_LAST),
            Swap(
                f"{SQL}/fence.sql",
                "enter",
                "PERFORM pg_advisory_xact_lock_shared(link, o.lane) FROM (SELECT unnest(lanes) AS lane ORDER BY 1) AS o;",
                "INSERT INTO {schema}.lane_epoch AS l SELECT * FROM unnest(lanes, epochs)"
                " ON CONFLICT (lane) DO UPDATE SET epoch = greatest(l.epoch, excluded.epoch);",
            ),
        ],
        [f"{SQL_FENCE}::test_a_delete_runs_after_every_older_upsert_whichever_statement_that_has_come_to"],
    ),
    Mutant(
        "sql-keys-as-rows-have-them",
        "a row's key is compared as its values are written, others' as a cast writes them",
        [
            Swap(
                f"{SQL}/changes.py",
                "Changes.key_of",
                "put.id[n] if n in put.id else put.values[self.names.index(n)]",
                "put.values[self.names.index(n)]",
            )
        ],
        [f"{TARGET_KEYS}::test_rows_in_the_way_are_told_by_their_keys_whatever_writes_them"],
    ),
    Mutant(
        "sql-parents-as-rows-have-them",
        "a missing parent is named as its child's value is written",
        [
            Swap(
                f"{SQL}/statements.py",
                "orphans",
                "sql.SQL('{}::{}::text').format(_value(column), type_of(type_))",
                "named('u', column.name)",
            )
        ],
        [f"{TARGET_KEYS}::test_what_both_sides_forbid_is_parked_soon"],
    ),
    Mutant(
        "sql-lock-and-epoch-at-once",
        "the epochs are read with the snapshot from before the wait for the lock",
        [Swap(f"{SQL}/fence.sql", "enter", "VOLATILE SET", "STABLE SET")],
        [f"{SQL_FENCE}::test_the_epoch_is_read_after_the_wait_for_the_lock"],
    ),
    Mutant(
        "sql-unknown-keeps-epoch",
        "after an unknown outcome batches go on under the same epoch",
        [Swap(f"{SQL}/target.py", "SqlTarget.write", "if error.unknown: ...", "if False: ...")],
        [f"{SQL_FENCE}::test_an_unknown_outcome_costs_the_epoch"],
    ),
    Mutant(
        "sql-announced-at-once",
        "an announcement does not wait for the lane's open batches",
        [
            Swap(
                f"{SQL}/fence.py",
                "Control._raise",
                "if (await connection.execute(self._block('lock_lane'), where)).rowcount != 1: ...",
                "if False: ...",
            )
        ],
        [f"{SQL_FENCE}::test_an_announcement_waits_for_the_lanes_open_batches"],
    ),
    Mutant(
        "sql-announced-together-at-once",
        "an announcement of many lanes does not look which of them have open batches",
        [
            Swap(
                f"{SQL}/fence.sql",
                "lock_free",
                "WHERE pg_catalog.pg_try_advisory_xact_lock(l.lock, o.lane)",
                "",
            )
        ],
        [f"{SQL_FENCE}::test_an_announcement_waits_for_the_lanes_open_batches"],
    ),
    Mutant(
        "sql-announced-blindly",
        "a lower epoch is announced over a higher one",
        [Swap(f"{SQL}/fence.sql", "raise_epochs", "WHERE l.epoch <= excluded.epoch", "")],
        [f"{ROWS_CONTRACT}::test_a_lower_epoch_is_not_announced"],
    ),
    Mutant(
        "sql-frozen-holder",
        "a batch whose worker is frozen is waited for",
        [
            Swap(
                f"{SQL}/fence.py",
                "Control._raise",
                "await connection.execute(self._block('holders_end'), where)",
                "pass",
            )
        ],
        [f"{SQL_FENCE}::test_a_frozen_workers_batch_is_ended_by_the_new_owner"],
    ),
    Mutant(
        "sql-a-statement-a-table",
        "rows of several tables are written one table after the other",
        [
            Swap(
                f"{SQL}/writing.py",
                "Writing._statements",
                "return [_together(group) for group in (puts, gone) if group]",
                "return [*puts, *gone]",
            )
        ],
        [f"{SQL_ROWS}::test_circles_of_references_come_and_go_together"],
    ),
    Mutant(
        "sql-referred-row-removed",
        "a row that others refer to is taken away to make room for a unique value",
        [Swap(f"{SQL}/statements.py", "clear", "if not table.children: ...", "if True: ...")],
        [f"{SQL_ROWS}::test_records_exchange_a_unique_value"],
    ),
    Mutant(
        "sql-children-go-along",
        "a delete takes along rows that refer to it, though they may be newer and have no mark",
        [Swap(f"{SQL}/writing.py", "Writing.write", "any(map(careful.takes_along, batch))", "False")],
        [f"{SQL_ROWS}::test_a_delete_takes_no_other_record_along"],
    ),
    Mutant(
        "sql-children-looked-for-early",
        "whether rows refer to one is looked at before others are kept from referring to it",
        [
            Swap(
                f"{SQL}/careful.py",
                "Careful._keep_children",
                "await connection.execute(statements.lock(changes.table), keys)",
                "pass",
            )
        ],
        [f"{SQL_RELAY}::test_a_late_delete_takes_no_newer_child_along"],
    ),
    Mutant(
        "sql-nobody-gives-way",
        "records of different batches wait for each other for ever",
        [
            Swap(
                f"{SQL}/target.py",
                "SqlTarget.write",
                "yielding = self._refused.yielding(batch)",
                "yielding = set()",
            )
        ],
        [f"{SQL_ROWS}::test_records_of_two_batches_give_way_to_each_other"],
    ),
    Mutant(
        "sql-cut-off",
        "texts are cast to the column's type with its length, and cut off",
        [
            Swap(
                f"{SQL}/tables.sql",
                "columns",
                "pg_catalog.format_type(a.atttypid, -1)",
                "pg_catalog.format_type(a.atttypid, a.atttypmod)",
            )
        ],
        [f"{SQL_ROWS}::test_a_record_that_the_target_refuses_is_named_with_its_column"],
    ),
    Mutant(
        "sql-outage-parks",
        "what the server cannot do now is taken for a fault of the record",
        [
            Swap(
                f"{SQL}/refusals.py",
                "is_of_rows",
                "return state is not None and state.startswith(_ROWS) and (not is_of_server(error))",
                "return state is not None",
            )
        ],
        [f"{SQL_ROWS}::test_what_the_server_cannot_do_now_parks_nothing"],
    ),
    Mutant(
        "sql-lost-lanes-kept",
        "a worker goes on under an epoch under which something may still be written",
        [
            Swap(
                f"{RELAY}/pump.py",
                "Pump._failed",
                "self._leases.outrank(_lost(work, failure))",
                "pass",
            )
        ],
        [f"{SQL_RELAY}::test_after_an_unknown_outcome_nothing_goes_under_the_same_epochs"],
    ),
    Mutant(
        "lanes-given-up-while-reading",
        "a batch goes under an epoch that was given up while its marks were read",
        [Swap(f"{RELAY}/reader.py", "Reader.next", "self._leases.held != held", "False")],
        [f"{SQL_RELAY}::test_lanes_that_are_given_up_while_marks_are_read_are_not_written_under"],
    ),
    Mutant(
        "sql-parked-at-once",
        "a record whose parent is on its way is parked",
        [
            Swap(
                f"{RELAY}/rows_in_the_way.py",
                "_verdict",
                "_is_real(conflict, mine, theirs)",
                "True",
            )
        ],
        [f"{SQL_RELAY}::test_a_child_whose_parent_is_on_its_way_is_not_parked"],
    ),
    Mutant(
        "sql-waits-at-full-speed",
        "a record that waits for another one is tried as often after a minute as at first",
        [Swap(f"{RELAY}/conflicts.py", "Conflicts._settle_named", WAITED_AGAIN, "pass")],
        [f"{IN_THE_WAY}::test_two_that_wait_for_each_other_are_parked_once_and_are_quiet_meanwhile"],
    ),
    Mutant(
        "sql-copied-too-slowly",
        "a record that waits for a table that is being copied is parked after a minute",
        [Swap(f"{RELAY}/conflicts.py", "Conflicts._stuck", "if not any(stuck): ...", "if True: ...")],
        [
            f"{COPY}::test_an_order_waits_for_its_lines_that_are_copied_alone_however_long_that_takes",
            f"{IN_THE_WAY}::test_a_record_waits_for_the_copy_of_the_others_table_however_long_that_takes",
        ],
    ),
    Mutant(
        "sql-both-mark-each-other",
        "records that wait for each other mark each other again and again",
        [Swap(f"{RELAY}/conflicts.py", "Conflicts._settle_named", "not self._is_waiting(verdict.outdated)", "True")],
        [f"{IN_THE_WAY}::test_two_that_wait_for_each_other_are_parked_once_and_are_quiet_meanwhile"],
    ),
    Mutant(
        "sql-marked-at-each-try",
        "a record is marked again at each try of the one that waits for it",
        [
            Swap(
                f"{RELAY}/rows_in_the_way.py",
                "RowsInTheWay.mark",
                "now >= self.left_alone.get((entity, key), 0.0)",
                "True",
            )
        ],
        [f"{IN_THE_WAY}::test_one_of_another_worker_is_marked_now_and_then"],
    ),
    Mutant(
        "sql-looked-once-for-children",
        "a row that stays takes no part in what is looked for: its parent goes, and takes it along",
        [
            Swap(
                f"{SQL}/careful.py",
                "Careful._keep_children",
                "while refusals := await self._taken_along(connection, attempt):\n    attempt.leave_out(refusals)",
                "attempt.leave_out(await self._taken_along(connection, attempt))",
            )
        ],
        [f"{SQL_ROWS}::test_a_delete_takes_no_newer_descendant_along"],
    ),
    Mutant(
        "sql-deletes-in-a-circle-wait",
        "rows that are to be deleted and refer to each other wait for each other",
        [Swap(f"{SQL}/careful.py", "Careful._give_way", "if statement is not None: ...", "if False: ...")],
        [f"{SQL_RELAY}::test_rows_of_two_tables_that_refer_to_each_other_go"],
    ),
    Mutant(
        "sql-one-child-is-looked-at",
        "a child that goes with its parent hides another one that stays",
        [Swap(f"{SQL}/careful.py", "Careful._children", "table and going", "False")],
        [f"{SQL_ROWS}::test_a_delete_takes_no_newer_descendant_along"],
    ),
    Mutant(
        "commands-wait-five-seconds",
        "connect_timeout_seconds does not reach commands and the page",
        [Swap("syncline/insight/reach.py", "source", "settings.connect_timeout.total_seconds()", "5.0")],
        ["tests/cases/test_every_setting.py::test_every_connection_to_the_source_waits_so_long"],
    ),
    Mutant(
        "threads-waited-for",
        "a command that is interrupted waits for what runs on a thread",
        [Swap("syncline/ending.py", "run", "runner.get_loop().set_default_executor(Threads())", "")],
        [
            "tests/unit/test_ending.py::test_a_thread_that_is_left_behind_is_not_waited_for",
        ],
    ),
    Mutant(
        "outbox-judged-by-an-old-snapshot",
        "a plan is made by what the catalog said when the user's statement began",
        [Swap(f"{JOURNAL}/schema.sql", "FUNCTION syncline.odd_outbox", "VOLATILE", "STABLE")],
        [f"{ENDURE}::test_a_statement_that_began_before_a_change_of_the_outbox_goes_on_and_so_do_later_ones"],
    ),
    Mutant(
        "newer-catalog-ignored",
        "a transaction above READ COMMITTED takes the outbox for what it was when it began",
        [Swap(f"{JOURNAL}/schema.sql", "FUNCTION syncline.odd_outbox", "c.xmax::text <> '0'", "false")],
        [f"{ENDURE}::test_a_transaction_that_began_before_a_change_of_the_outbox_goes_on"],
    ),
    Mutant(
        "refused-second-deletes-stop-all",
        "a worker whose second deletes are refused does nothing else",
        [Swap(f"{RELAY}/keeper.py", "Keeper._promote_deferred", "if not error.of_our_tables: ...", "if True: ...")],
        [f"{MENDING}::test_a_rule_that_somebody_puts_on_the_outbox_stops_no_worker"],
    ),
    Mutant(
        "every-encoding-has-all",
        "the history's documents are sent to a source that lacks their characters",
        [Swap(f"{JOURNAL}/acknowledge.py", "parameters", "encoding_of(connection)", "None")],
        [f"{NEIGHBOURS}::test_a_document_that_the_source_cannot_write_is_applied_and_remembered"],
    ),
    Mutant(
        "notices-ended-unseen",
        "a look ends what was said after it began",
        [
            Swap(
                f"{POSTGRES}/lookout.py",
                "PostgresLookout._tell",
                "await tables.end_seen(self._connection, said.keys(), still=list(broken))",
                "await self._notices.end_others(Notice.CAPTURE_BROKEN, still=list(broken))",
            )
        ],
        [f"{MENDING}::test_a_look_ends_no_notice_that_was_left_after_it_began"],
    ),
    Mutant(
        "notices-judged-never",
        "what was said while a worker looked stays open",
        [
            Swap(
                f"{POSTGRES}/lookout.py",
                "PostgresLookout.look",
                "self._entities, self._digest = entities, found if whole else ''",
                "self._entities, self._digest = entities, found",
            )
        ],
        [f"{MENDING}::test_a_look_ends_no_notice_that_was_left_after_it_began"],
    ),
    Mutant(
        "conditions-said-once",
        "what still holds is not said again where the notices were put back",
        [Swap(f"{RELAY}/keeper.py", "Keeper._look_at_catalog", "self._conditions.forget()", "")],
        [f"{MENDING}::test_what_still_holds_is_said_again_when_the_notices_were_put_back"],
    ),
    Mutant(
        "old-notices-open-again",
        "every notice ever left is open when the column that ends them is put back",
        [
            Swap(
                "syncline/capture/postgres/halves.py",
                "plan_missing",
                "plan.migrations.append(_open_again())",
                "pass",
            )
        ],
        [f"{OURS}::test_notices_of_long_ago_do_not_open_again"],
    ),
    Mutant(
        "unenforced-taken-for-a-cascade",
        "the session hook refuses a foreign key by which PostgreSQL 18 changes no rows",
        [
            Swap(
                "syncline/capture/sqlalchemy/session.sql",
                "cascades",
                "coalesce((to_jsonb(f) ->> 'conenforced')::boolean, true)",
                "true",
            )
        ],
        ["tests/cases/test_newer_releases.py::test_a_foreign_key_that_is_not_enforced_changes_nothing"],
    ),
    # -- the initial copy
    Mutant(
        "copy-beside-marks",
        "marks of a table are read while it is being copied",
        [
            Swap(
                f"{JOURNAL}/queries.sql",
                "read_marks",
                "AND no_copy_holds() ORDER BY seq LIMIT %(limit)s) UNION",
                "ORDER BY seq LIMIT %(limit)s) UNION",
            ),
            Swap(
                f"{JOURNAL}/queries.sql",
                "read_marks",
                "AND no_copy_holds() ORDER BY seq LIMIT %(blocks)s) AS w",
                "ORDER BY seq LIMIT %(blocks)s) AS w",
            ),
        ],
        [f"{COPY}::test_marks_and_sweeps_wait_while_a_table_is_copied_and_others_go_on"],
    ),
    Mutant(
        "copy-beside-sweeps",
        "a sweep begins while its table is being copied",
        [
            Swap(
                f"{JOURNAL}/tasks.sql",
                "claim",
                "kind <> 'sweep' AND",
                "",
            )
        ],
        [f"{COPY}::test_marks_and_sweeps_wait_while_a_table_is_copied_and_others_go_on"],
    ),
    Mutant(
        "copy-written-again",
        "what the installation has asked for is done once more when the table is copied",
        [
            Swap(
                f"{COPYING}/copies.py",
                "SqlCopies.declare",
                'await self._statements.run("drop_covered", id=copy.id)',
                "pass",
            )
        ],
        [f"{COPY}::test_what_the_installation_has_asked_for_is_done_by_the_copy"],
    ),
    Mutant(
        "copy-range-not-entered",
        "a copier does not look whether the range is still its own, and holds nothing of it",
        [
            Swap(
                f"{COPYING}/carrier.py",
                "SqlCarrier._carried",
                "if target.execute(block('enter', self._schema), mine).fetchone() is None: ...",
                "if False: ...",
            )
        ],
        [f"{COPY}::test_a_frozen_copier_cannot_commit_after_another_one_has_begun_its_range"],
    ),
    Mutant(
        "copy-done-apart",
        "that a range is done is committed after its rows",
        [Swap(f"{COPYING}/carrier.py", "SqlCarrier._carried", "target.transaction()", "contextlib.nullcontext()")],
        [f"{COPY}::test_a_killed_copy_goes_on_at_the_cost_of_one_range"],
    ),
    Mutant(
        "copy-not-fenced",
        "what was read before the copy began may still be written beside it",
        [Swap("syncline/copying/copier.py", "Copier._begin", "await self.target.announce(epochs)", "pass")],
        [f"{COPY}::test_what_was_read_before_the_copy_began_is_not_written_any_more"],
    ),
    Mutant(
        "copy-declared-quietly",
        "readers that have passed over a table's marks do not begin anew when it is declared copied",
        [
            Swap(
                f"{COPYING}/copies.py",
                "SqlCopies.declare.declared",
                "await self.take_lanes(above=0)",
                "pass",
            )
        ],
        [f"{COPY}::test_marks_that_were_passed_over_are_read_when_the_table_is_declared"],
    ),
    Mutant(
        "copy-conflicts-forgotten",
        "rows that wait for others are left out of the copy, and nobody writes them",
        [Swap(f"{COPYING}/carrier.py", "SqlCarrier._staged", "if keys: ...", "if False: ...")],
        [f"{COPY}::test_values_that_move_and_parents_that_are_late_are_left_to_the_relay"],
    ),
    Mutant(
        "copy-declared-one-by-one",
        "a table is declared copied while one that refers to it is still being copied",
        [
            Swap(
                "syncline/copying/copier.py",
                "Copier.run",
                "any({one.name, table.name} <= names for names in groups)",
                "one is table",
            )
        ],
        [f"{COPY}::test_tables_that_foreign_keys_join_are_declared_together"],
    ),
    Mutant(
        "copy-replace-goes-on",
        "a copy that begins anew takes ranges for done whose rows a delete has taken along",
        [Swap("syncline/copying/copier.py", "Copier.run", "one.copy is None or replace", "one.copy is None")],
        [f"{COPY}::test_who_begins_anew_loses_no_row_that_a_delete_takes_along"],
    ),
    Mutant(
        "copy-empties-what-others-need",
        "a table is emptied whose rows others refer to, written since the copier has looked",
        [
            Swap(
                f"{COPYING}/ranges.py",
                "SqlRanges.lay",
                "await self._lock_against_references([plan for _, plan, _ in copies])",
                "pass",
            )
        ],
        [f"{COPY}::test_a_table_to_which_rows_of_others_refer_is_not_emptied"],
    ),
    Mutant(
        "copy-lost-range-done",
        "a range that was lost to another copier is taken for done",
        [
            Swap(
                "syncline/copying/copier.py",
                "Copier._declare",
                "any([await self._left(table.copy) for table in group])",
                "False",
            )
        ],
        [f"{COPY}::test_a_range_that_was_lost_to_another_copier_is_not_taken_for_done"],
    ),
    # -- tables verified against tables
    Mutant(
        "row-hash-without-null",
        "the hash of a row does not tell NULL from an empty text, nor where a value ends",
        [
            Swap(
                f"{POSTGRES}/row_hash.py",
                "row_hash",
                "sql.SQL(ROW_HASH)",
                "sql.SQL('pg_catalog.hashtextextended(pg_catalog.concat({values}), 0)')",
            )
        ],
        [f"{SQL_VERIFY}::test_every_type_is_compared_exactly"],
    ),
    Mutant(
        "rows-counted-only",
        "stretches with the same number of rows are taken for equal",
        [
            Swap(
                "syncline/verify/digest_look.py",
                "DigestLook.compare",
                "found.sum == theirs",
                "found.sum is not None and found.sum.records == theirs.records",
            )
        ],
        [f"{SQL_VERIFY}::test_what_is_damaged_is_found_in_every_stretch_and_equal_after_a_repair"],
    ),
    Mutant(
        "part-rest-lost",
        "what is left of a part that ended early is not looked at",
        [Swap("syncline/verify/spread.py", "SpreadWalk.walk", "if not walked.over: ...", "if False: ...")],
        [f"{IN_PARTS}::test_a_part_full_of_suspects_ends_early_and_its_rest_is_looked_at"],
    ),
    Mutant(
        "part-beyond-is-passed",
        "a pass goes on behind a part whose answer has not come yet",
        [Swap("syncline/verify/spread.py", "_placed", "Stretch(part.end, until)", "Stretch(until, until)")],
        [f"{IN_PARTS}::test_whoever_goes_on_from_any_step_misses_nothing_and_counts_nothing_twice"],
    ),
    Mutant(
        "part-rate-of-each",
        "each process reads as fast as all of them may",
        [Swap("syncline/verify/spread.py", "SpreadWalk.__init__", "rate / executor.width", "rate")],
        [f"{IN_PARTS}::test_the_rate_is_shared_by_all"],
    ),
    Mutant(
        "part-of-another-mapping",
        "a process with another configuration does parts",
        [Swap("syncline/verify/part.py", "require_same", "here.mapping != asked.mapping", "False")],
        [f"{IN_PARTS}::test_whoever_is_unlike_the_command_is_refused"],
    ),
    Mutant(
        "part-of-another-target",
        "a process compares an older copy of the target",
        [Swap("syncline/verify/part.py", "require_same", "here.renewals < asked.renewals", "False")],
        [f"{IN_PARTS}::test_a_part_is_looked_at_in_the_target_of_the_command_only"],
    ),
    Mutant(
        "sweep-of-another-target",
        "a process sweeps another target than the command's",
        [Swap("syncline/wiring/backfilling.py", "Bench.needs_target", "task.kind is TaskKind.SWEEP", "False")],
        [
            f"{TESTS}/test_backfill_processes.py::test_a_sweep_of_another_target_is_refused_and_marks_are_made_whatever_it_is"
        ],
    ),
    Mutant(
        "part-of-the-killed-lost",
        "the part of a process that is killed is not given to another one",
        [Swap("syncline/executing/processes.py", "Processes.run", "tries == TRIES", "True")],
        [f"{VERIFY_PROCESSES}::test_the_job_of_a_killed_process_is_done_by_another"],
    ),
    Mutant(
        "hanging-process-waited-for",
        "a process that hangs is waited for, for ever",
        [Swap("syncline/executing/processes.py", "_asked", "asyncio.timeout(SILENT_SECONDS)", "asyncio.timeout(None)")],
        [f"{EXECUTING}::test_a_process_that_says_nothing_is_killed_and_its_job_is_another_ones"],
    ),
    Mutant(
        "cluster-that-grows-reads-faster",
        "threads of a cluster that join later take jobs beside the others, each at the rate of one",
        [
            Swap(
                "syncline/executing/clusters.py",
                "Cluster.__init__",
                "asyncio.Semaphore(width)",
                "asyncio.Semaphore(99)",
            )
        ],
        [f"{EXECUTING}::test_no_more_jobs_are_done_at_a_time_than_there_were_threads"],
    ),
    Mutant(
        "document-part-early-end-lost",
        "what is left of a part of a collection that ended early is not compared",
        [Swap("syncline/documents/parts.py", "looked", "if not seen.over: ...", "if False: ...")],
        [f"{DOCUMENT_PARTS}::test_a_part_full_of_suspects_ends_early_and_its_rest_is_looked_at"],
    ),
    Mutant(
        "document-part-seen-twice",
        "who goes on with a verification compares the rows behind the last document of a part again",
        [
            Swap(
                "syncline/documents/parts.py",
                "_place",
                "Place(first=part.part.end)",
                "Place(after=seen.after, last=seen.last)",
            )
        ],
        [f"{DOCUMENT_PARTS}::test_whoever_goes_on_after_a_failure_misses_nothing_and_counts_nothing_twice"],
    ),
    Mutant(
        "document-copy-with-a-gap",
        "a part of a copy begins behind the document at which the one before ends",
        [Swap("syncline/documents/parts.py", "copied.cut", "after, first = None, until", "after, first = until, None")],
        [f"{DOCUMENT_PARTS}::test_parts_are_copied_as_one_copy_is"],
    ),
    Mutant(
        "document-rate-of-each",
        "each process reads documents as fast as all of them may",
        [Swap("syncline/documents/parts.py", "Others.each", "self.rate / self.executor.width", "self.rate")],
        [f"{DOCUMENT_PARTS}::test_the_rate_is_shared_by_all"],
    ),
    Mutant(
        "document-part-of-a-lost-copy",
        "who copies a part does not see that the copy was taken over",
        [Swap(f"{POSTGRES}/documents/copying.sql", "ours", "AND attempt = %(attempt)s", "")],
        [f"{DOCUMENT_PARTS}::test_who_copies_for_a_copy_that_was_taken_over_writes_nothing"],
    ),
    Mutant(
        "sweep-parts-with-a-gap",
        "a part of a sweep ends before the key at which the next one begins",
        [
            Swap(
                "syncline/engines/mongo/target.py",
                "MongoTarget.walk",
                "if end is not None and (last := await at(collection, DECODED, end, **options)): ...",
                "if False: ...",
            )
        ],
        [f"{BACKFILL_PROCESSES}::test_the_parts_of_a_sweep_cover_a_collection_without_a_gap"],
    ),
    Mutant(
        "sweep-part-does-not-wait",
        "a part of a sweep does not wait for writes that are on their way",
        [Swap("syncline/backfill/dividing.py", "sweeps.requested", "{}", "{'done': 0, 'marked': 0, 'foreign': 0}")],
        [f"{BACKFILL_PROCESSES}::test_each_part_of_a_sweep_waits_for_writes_that_are_on_their_way"],
    ),
    Mutant(
        "backfill-parts-with-a-gap",
        "a part of a backfill does not begin where the one before ends",
        [Swap("syncline/backfill/dividing.py", "divided.requested", '{"after": start}', '{"after": until}')],
        [f"{BACKFILL_PROCESSES}::test_the_parts_cover_a_table_without_a_gap"],
    ),
    Mutant(
        "backfill-rate-of-each",
        "tasks that share a rate mark at all of it each",
        [Swap("syncline/backfill/pace.py", "Pacer._rate", "rate // self._sharing", "rate")],
        [f"{BACKFILL_PROCESSES}::test_those_at_work_share_one_rate"],
    ),
    Mutant(
        "row-version-not-looked-at",
        "the second look does not see that a row was written and written back between its two reads",
        [
            Swap(
                f"{POSTGRES}/target/inspection.py",
                "SqlInspection.confirmed",
                "commas([_key_of(table), _VERSION])",
                "_key_of(table)",
            )
        ],
        [f"{SQL_VERIFY}::test_changes_between_two_looks_raise_no_alarm"],
    ),
    Mutant(
        "target-session-not-pinned",
        "what a target's values look like is left to its database's settings",
        [
            Swap(
                f"{POSTGRES}/target/session.py",
                "_settings",
                "pins.on_postgresql(connection.info.server_version, limits, keyed=False)",
                "limits",
            )
        ],
        [f"{SQL_VERIFY}::test_every_type_is_compared_exactly"],
    ),
    # -- the switch between two databases
    Mutant(
        "gate-without-lock",
        "a gate is changed while writers that have passed it are open",
        [
            Swap(
                f"{SWITCH}/gate.sql",
                "pass",
                "NOT pg_catalog.pg_try_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext(TG_ARGV[0]))",
                "false",
            )
        ],
        [f"{GATE}::test_a_change_waits_for_whoever_has_passed"],
        quick=True,
    ),
    Mutant(
        "gate-waits-for-coordinators",
        "writers queue up behind a coordinator, and it behind them",
        [
            Swap(
                f"{SWITCH}/gate.sql",
                "pass",
                "NOT pg_catalog.pg_try_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext(TG_ARGV[0]))",
                "(SELECT false FROM pg_catalog.pg_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext(TG_ARGV[0])))",
            )
        ],
        [f"{GATE}::test_a_change_waits_for_whoever_has_passed"],
    ),
    Mutant(
        "gate-by-an-old-snapshot",
        "a REPEATABLE READ transaction from before the closing passes",
        [Swap(f"{SWITCH}/gate.sql", "pass", "LIKE 'read%'", "LIKE '%'")],
        [f"{GATE}::test_a_snapshot_from_before_the_closing_does_not_pass"],
    ),
    Mutant(
        "gate-for-old-transactions",
        "a transaction that began before the opening passes",
        [Swap(f"{SWITCH}/gate.sql", "pass", "pg_catalog.now() <= opened_at", "false")],
        [
            f"{GATE}::test_a_transaction_older_than_the_opening_is_refused",
            f"{GATE}::test_a_statement_older_than_the_opening_is_refused",
        ],
    ),
    Mutant(
        "gate-of-any-link",
        "a link passes with what it read before the last change",
        [
            Swap(
                f"{SWITCH}/gate.sql",
                "pass",
                "OR number::text IS DISTINCT FROM",
                "OR false AND number::text IS DISTINCT FROM",
            )
        ],
        [f"{GATE}::test_the_link_writes_where_it_may_with_the_number_that_it_read"],
    ),
    Mutant(
        "gate-off-in-replica-mode",
        "a session of role replica passes",
        [
            Swap(
                f"{SWITCH}/install.py", "_guard", "('drop_trigger', 'trigger', 'always')", "('drop_trigger', 'trigger')"
            )
        ],
        [f"{GATE}::test_a_closed_gate_refuses_every_write"],
    ),
    Mutant(
        "gate-of-statements-alone",
        "a partition made later has no gate",
        [Swap(f"{SWITCH}/install.py", "_guard", "if one.root: ...", "if False: ...")],
        [f"{GATE}::test_a_partition_made_later_is_gated_too"],
    ),
    Mutant(
        "number-not-compared",
        "a coordinator that was frozen opens its side",
        [Swap(f"{SWITCH}/gate.sql", "change", "AND g.number <= coordinator", "")],
        [
            f"{GATE}::test_a_lower_number_changes_nothing",
        ],
    ),
    Mutant(
        "number-of-the-move-before",
        "a coordinator of a move that is over changes the gates of the next one of that name",
        [
            Swap(
                f"{SWITCH}/gate.sql",
                "begin",
                "coalesce((SELECT l.number FROM syncline_gate.last_number AS l WHERE l.name = %(name)s), 0)",
                "0",
            )
        ],
        [f"{GATE}::test_a_coordinator_of_the_move_before_changes_nothing_of_the_next_one_of_that_name"],
    ),
    Mutant(
        "number-kept-to-turn-back",
        "the way back has the number of the way there",
        [Swap(f"{SWITCH}/gate.sql", "acquire", "greatest(number, %(above)s) + 1", "greatest(number, 1)")],
        [f"{COORDINATOR}::test_a_coordinator_that_was_frozen_before_its_decision_decides_nothing"],
    ),
    Mutant(
        "lease-for-ever",
        "nobody takes over from a coordinator that died",
        [
            Swap(
                f"{SWITCH}/gate.sql",
                "acquire",
                "AND (holder IS NULL OR held_until <= pg_catalog.clock_timestamp())",
                "AND holder IS NULL",
            )
        ],
        [f"{COORDINATOR}::test_the_next_command_finishes_what_a_dead_one_began"],
    ),
    Mutant(
        "lease-kept-by-a-lost-cancellation",
        "a coordinator that waits for the link waits for ever, and keeps its lease",
        [Swap(f"{SWITCH}/coordinator.py", "Coordinator._bring", "if time.monotonic() >= until: ...", "if False: ...")],
        [f"{COORDINATOR}::test_a_wait_whose_cancellation_is_lost_ends_all_the_same"],
    ),
    Mutant(
        "lease-lost-while-ready",
        "a coordinator that takes long to make a switch ready is overtaken",
        [Swap(f"{SWITCH}/coordinator.py", "Coordinator._meanwhile", "await self._keep()", "pass")],
        [f"{COORDINATOR}::test_a_lease_is_kept_while_a_switch_is_made_ready"],
    ),
    Mutant(
        "closes-without-a-lease",
        "a coordinator that was overtaken closes a side, and the next one is not ready to open the other",
        [
            Swap(
                f"{SWITCH}/coordinator.py",
                "Coordinator.run",
                "await self._renew()",
                "pass",
            )
        ],
        [f"{COORDINATOR}::test_a_coordinator_whose_lease_is_gone_closes_nothing"],
    ),
    Mutant(
        "not-drained",
        "the other side opens while the link has something to carry",
        [
            Swap(
                f"{SWITCH}/coordinator.py",
                "Coordinator._bring",
                "while not await link.drained(self._other): ...",
                "while False: ...",
            )
        ],
        [f"{COORDINATOR}::test_a_link_that_is_not_through_makes_the_old_side_serve_again"],
    ),
    Mutant(
        "an-abort-drains",
        "the side that has the truth waits for the link that would bring it older rows",
        [
            Swap(
                f"{SWITCH}/coordinator.py",
                "Coordinator.run",
                "if theirs.opened > mine.opened: ...",
                "if True: ...",
            )
        ],
        [f"{COORDINATOR}::test_the_side_that_was_closed_is_opened_by_a_new_number_only"],
    ),
    Mutant(
        "sequences-stay",
        "the side that opens hands out numbers that the other one has handed out",
        [Swap(f"{SWITCH}/sequences.py", "raise_sequences", "await _set(target, values, number)", "pass")],
        ["tests/integration/test_switch_sequences.py::test_every_sequence_of_the_tables_goes_on_beyond_the_other_side"],
    ),
    Mutant(
        "sequences-of-functions-stay",
        "a sequence that a function draws from hands out what the other side has handed out",
        [
            Swap(
                f"{MOVING}/link.py",
                "MoveLink.raise_sequences",
                "[one.sequence for one in await self._opening() if one.sequence is not None]",
                "[]",
            )
        ],
        [f"{BESIDE}::test_sequences_that_functions_or_applications_draw_from_go_on_beyond_the_other_side"],
    ),
    Mutant(
        "sequences-of-functions-left-behind",
        "a function moves without the sequence that it draws from",
        [Swap("syncline/split/schema/selection.py", "_named", "called | drawn", "called")],
        [f"{BESIDE}::test_sequences_that_functions_or_applications_draw_from_go_on_beyond_the_other_side"],
    ),
    Mutant(
        "labels-unfollowed",
        "a new label of an enum is not made on the other side",
        [Swap(f"{MOVING}/labels.py", "_made", "if label not in others: ...", "if False: ...")],
        [
            f"{TESTS}/test_split_move_altered.py::test_labels_of_an_enum_are_followed_and_what_was_refused_is_tried_again_twice"
        ],
    ),
    Mutant(
        "the-side-that-hangs-is-asked",
        "the database's own server is asked before the one that serves its tables",
        [Swap(f"{SWITCH}/following.py", "Following._ask", "sides and self._split", "None")],
        [f"{HANGING}::test_the_side_that_does_not_serve_is_not_asked"],
    ),
    Mutant(
        "who-does-not-move-waits",
        "tables that do not move wait for the answer of a server that hangs",
        [
            Swap(
                f"{SWITCH}/following.py",
                "Following.look_again",
                "_BUSY_SECONDS if self._are_unmoved(databases) else -1",
                "-1",
            )
        ],
        [f"{HANGING}::test_tables_that_do_not_move_are_served_while_the_server_of_those_that_do_hangs"],
    ),
    Mutant(
        "answers-waited-for-for-ever",
        "the answer of a server that hangs is waited for as long as it hangs",
        [Swap(f"{SWITCH}/limited.py", "_limited", "not ready and time.monotonic() >= until", "False")],
        [f"{HANGING}::test_an_answer_is_not_waited_for_for_ever"],
    ),
    Mutant(
        "a-fork-inherits-connections",
        "a forked process uses the connections of its parent",
        [Swap("syncline/split/server.py", "Server._begin_anew", "self._begin()", "None")],
        [f"{HANGING}::test_a_forked_process_has_connections_of_its_own"],
    ),
    Mutant(
        "reading-sessions-stay",
        "a session that only reads stays on the side of its first statement",
        [
            Swap(
                "syncline/split/sessions.py",
                "RoutedSession.get_bind",
                "self._reading or name not in self._begun",
                "name not in self._begun",
            )
        ],
        [f"{HANGING}::test_a_session_that_only_reads_follows_from_one_statement_to_the_next"],
    ),
    Mutant(
        "sequences-of-another-coordinator",
        "a coordinator that was superseded sets sequences of a side that is in use",
        [Swap(f"{SWITCH}/sequences.sql", "set", "(SELECT h.ours FROM held AS h)", "true")],
        ["tests/integration/test_switch_sequences.py::test_a_coordinator_that_is_not_in_charge_moves_no_sequence"],
    ),
    Mutant(
        "unknown-commits-again",
        "a transaction whose COMMIT was not answered is run again",
        [
            Swap(
                f"{SWITCH}/running.py",
                "Attempts.after",
                "if refusal is None: ...",
                "if refusal is None and not self.committing: ...",
            )
        ],
        [f"{APPLICATIONS}::test_a_commit_of_unknown_outcome_is_not_done_again"],
    ),
    Mutant(
        "single-mode-goes-on",
        "a process in single mode writes where nothing is read any more",
        [Swap(f"{SWITCH}/following.py", "Following.serving", "if not self._split: ...", "if False: ...")],
        [f"{APPLICATIONS}::test_single_mode_is_refused_while_the_other_side_serves"],
    ),
    Mutant(
        "gates-read-once",
        "a process stays on the side that served when it began",
        [
            Swap(
                f"{SWITCH}/following.py",
                "Following._look",
                "self.look_again()",
                "None",
            ),
            Swap(
                f"{SWITCH}/following.py",
                "Following.serving",
                "if self.stale(database): ...",
                "if not self._fresh_until: ...",
            ),
        ],
        [f"{APPLICATIONS}::test_reads_follow_without_any_write"],
    ),
    # -- links: what each makes carries its name, and a way back passes over what the way has written
    Mutant(
        "tag-ignored",
        "what the way has written is captured by its way back",
        [Swap("syncline/capture/postgres/functions.py", "_passed", "reverse is None", "True")],
        [f"{TESTS}/test_links_back.py::test_a_way_and_its_way_back_do_not_echo_while_workers_are_killed"],
    ),
    Mutant(
        "gate-asked-after-the-marks",
        "what the gate says is taken after the marks were read",
        [
            Swap(
                f"{RELAY}/reader.py",
                "Reader.next",
                "self._take(marks, held, number, started, admission, most=most)",
                "self._take(marks, held, number, started, self._admission(), most=most)",
            )
        ],
        [f"{TESTS}/test_memory_core.py::test_what_a_gate_has_said_is_taken_before_the_marks_are_read"],
    ),
    Mutant(
        "gate-asked-when-writing",
        "a batch shows what the gate says when it is written",
        [
            Swap(
                f"{SQL}/target.py",
                "SqlTarget.apply",
                "self.write(batch.lanes, changes, admission=batch.admission)",
                "self.write(batch.lanes, changes, admission=self.admission)",
            )
        ],
        [f"{TESTS}/test_sql_target_gate.py::test_a_batch_that_was_frozen_over_a_switch_and_its_way_back_is_refused"],
    ),
    Mutant(
        "gate-not-asked-again",
        "a batch that a gate has turned back is tried again with what the gate said before",
        [Swap(f"{SQL}/target.py", "SqlTarget.ask_gate", "self._gates = await gates.read(connection)", "pass")],
        [
            f"{TESTS}/test_sql_target_gate.py::test_a_gate_that_is_put_there_beside_a_running_link_loses_and_parks_nothing"
        ],
    ),
    Mutant(
        "gate-is-an-outage",
        "records are searched for what is at fault while the gate is not the link's",
        [
            Swap(
                f"{RELAY}/recovery.py",
                "Recovery.recover",
                "if isinstance(error, TargetGateError): ...",
                "if False: ...",
            )
        ],
        [f"{TESTS}/test_memory_core.py::test_behind_a_gate_that_is_not_the_links_all_waits_and_nothing_is_parked"],
    ),
    Mutant(
        "copy-shows-no-gate",
        "a copy does not say what the gate said before its rows were read",
        [Swap(f"{COPYING}/carrier.py", "_admission", "there = row is not None and row[0]", "there = False")],
        [f"{TESTS}/test_sql_target_gate.py::test_a_copy_passes_the_gate_and_is_told_where_it_may_not"],
    ),
    Mutant(
        "other-side-unopened",
        "the first requests after a switch open the connections to its side",
        [
            Swap(
                f"{SWITCH}/following.py",
                "Following._keep_others_ready",
                "self._standby.look(serving_side(database, sides), list(sides))",
                "pass",
            )
        ],
        [f"{TESTS}/test_switch_standby.py::test_the_first_requests_after_a_switch_find_open_connections"],
    ),
    Mutant(
        "closed-connections-are-lent",
        "requests fail on connections that a pooler has closed before a change of sides",
        [Swap("syncline/split/closed.py", "is_open", "poll.poll(0)", "False")],
        [f"{TESTS}/test_split_databases.py::test_connections_that_a_pooler_has_closed_meanwhile_fail_no_request"],
    ),
    Mutant(
        "over-is-moved",
        "while the gates of a move that is over are taken away, processes go to the side that does not serve",
        [
            Swap(
                f"{SWITCH}/serving.py",
                "serving_side",
                "if database not in sides and all((row.mode is not Mode.APPLICATION for row in sides.values())): ...",
                "if False: ...",
            )
        ],
        [f"{TESTS}/test_switch_standby.py::test_what_was_kept_ready_is_let_go_when_nothing_moves_any_more"],
    ),
    Mutant(
        "given-up-and-forgotten",
        "after a move was given up with --drop, a process in split mode asks for tables that are not there",
        [Swap(f"{SWITCH}/following.py", "Following.serving", "database in self._elsewhere", "False")],
        [f"{MOVE}::test_a_move_is_given_up_and_begun_anew"],
    ),
    Mutant(
        "revision-between-sides",
        "a revision is run while sides change, on the one that closes",
        [Swap("syncline/split/migrations/on_the_move.py", "OnTheMove.begin", "row and row[0]", "True")],
        [f"{TESTS}/test_split_move_versions.py::test_a_revision_waits_while_tables_are_copied_or_change_sides"],
    ),
    Mutant(
        "revision-unfollowed",
        "a revision is kept though the other side cannot follow it",
        [
            Swap(
                "syncline/split/migrations/on_the_move.py",
                "OnTheMove.commit",
                "[*self._stopping(now), *self._left_behind(connection)]",
                "[]",
            )
        ],
        [f"{TESTS}/test_split_move_versions.py::test_a_revision_that_cannot_be_followed_changes_no_side"],
    ),
    Mutant(
        "revision-believed-where-nobody-serves",
        "a revision whose runner was killed is taken for done: the side that does not serve has its number",
        [
            Swap(
                "syncline/split/migrations/running.py",
                "_planned",
                "move_of(tree, wait_seconds, needed=found.lacks)",
                "move_of(tree, wait_seconds, needed=True) if found.lacks else None",
            )
        ],
        [f"{TESTS}/test_split_move_versions.py::test_a_runner_that_was_killed_between_both_notes_is_made_up_for"],
    ),
    Mutant(
        "revision-beside-an-absent-book",
        "while the side that has the book of a move is away, a revision is run on the other one alone",
        [Swap("syncline/split/migrations/on_the_move.py", "_phase", "away is not None and gated", "False")],
        [f"{TESTS}/test_split_move_versions.py::test_no_revision_is_run_on_one_side_while_the_other_one_is_away"],
    ),
    Mutant(
        "revision-noted-on-one-side",
        "after a switch, the revision of before is run again",
        [
            Swap(
                "syncline/split/migrations/on_the_move.py",
                "OnTheMove.carry",
                "carry_versions(connection, there, self.version_table)",
                "pass",
            )
        ],
        [
            f"{TESTS}/test_split_move_versions.py::test_a_revision_is_run_where_its_tables_serve_and_followed_on_the_other_side",
        ],
    ),
    # -- a move by commands
    Mutant(
        "move-acts-twice",
        "triggers act on rows that the link brings, which have met them on the other side",
        [
            Swap(
                f"{MOVING}/link.py",
                "MoveLink.close_up",
                "await act(self._gates[side], number, opening, self._tables, on=False, hurried=hurried)",
                "pass",
            )
        ],
        [f"{MOVE}::test_tables_are_copied_beside_writers_followed_switched_and_brought_back"],
    ),
    Mutant(
        "switch-fails-closed",
        "a failure that nobody has foreseen leaves both sides closed",
        [Swap(f"{SWITCH}/finishing.py", "Finishing._attempt", "if not coordinator.may_turn_back: ...", "if True: ...")],
        [f"{COORDINATOR}::test_whatever_fails_before_the_decision_the_old_side_serves_again"],
    ),
    Mutant(
        "switch-turns-back-decided",
        "a failure after the decision has the other side wanted again",
        [Swap(f"{SWITCH}/finishing.py", "Finishing._attempt", "if coordinator.decided: ...", "if False: ...")],
        [f"{COORDINATOR}::test_after_the_decision_nothing_turns_back_and_the_way_back_is_made_later"],
    ),
    Mutant(
        "switch-refused-is-done-later",
        "a switch that was given up is done hours later, unwatched",
        [Swap(f"{SWITCH}/gate.sql", "withdraw", "SET goal = %(back)s", "SET goal = goal")],
        [f"{COORDINATOR}::test_a_switch_that_gives_up_before_it_closes_a_side_is_not_done_later"],
    ),
    Mutant(
        "link-writes-where-triggers-are-on",
        "a side that was made ready and not opened takes the link's writes with its triggers on",
        [
            Swap(
                f"{SWITCH}/gate.sql",
                "change",
                "WHEN verb = 'close' THEN 'n'",
                "WHEN verb = 'close' AND g.mode = 'a' THEN 'n'",
            )
        ],
        [
            f"{COORDINATOR}::test_a_side_that_was_made_ready_and_not_opened_takes_nothing_before_it_is_the_links_again",
        ],
    ),
    Mutant(
        "move-opens-as-it-began",
        "a trigger that came on the new side is off at home after the way back",
        [Swap(f"{MOVING}/link.py", "MoveLink.ready", "await asyncio.to_thread(self._note, source, number)", "pass")],
        [f"{MOVE}::test_tables_are_copied_beside_writers_followed_switched_and_brought_back"],
    ),
    Mutant(
        "move-opens-with-nothing-on",
        "a side opens without its triggers",
        [
            Swap(
                f"{SWITCH}/coordinator.py",
                "Coordinator.run",
                "await self._had(self._move.link.open_up, self._goal)",
                "pass",
            )
        ],
        [f"{COORDINATOR}::test_a_switch_and_its_way_back_bring_every_write"],
    ),
    Mutant(
        "move-opens-behind-columns",
        "a side opens though what was written last was read by columns of before",
        [Swap(f"{MOVING}/link.py", "MoveLink.drained", "any(by != now for by in known or ())", "False")],
        [
            f"{NEW_COLUMNS}::test_no_side_opens_while_a_worker_has_written_by_columns_of_before",
            f"{NEW_COLUMNS}::test_a_worker_of_the_way_back_that_is_behind_keeps_a_side_from_opening",
        ],
    ),
    Mutant(
        "move-begins-behind-columns",
        "writers are paused for a worker that has not seen yet how tables were altered",
        [Swap(f"{MOVING}/link.py", "MoveLink.ready", "await self._seen_at_last(source)", "False")],
        [f"{NEW_COLUMNS}::test_a_worker_of_the_way_back_that_is_behind_keeps_a_side_from_opening"],
    ),
    Mutant(
        "copy-columns-unnoted",
        "rows that were copied without a column that came meanwhile are not read again",
        [Swap(f"{COPYING}/source.sql", "compiled", "WHERE e.id = g.id", "WHERE false")],
        [f"{NEW_COLUMNS}::test_rows_that_were_copied_without_a_column_are_read_again"],
    ),
    Mutant(
        "move-tail-unlooked",
        "a side is opened though what was written last differs there",
        [
            Swap(
                f"{MOVING}/link.py",
                "MoveLink.verify_tail",
                "await differing(self._gates[source], self._gates[target], self._ways[source].link)",
                "[]",
            )
        ],
        [f"{MOVE}::test_a_move_is_finished_when_it_has_served_for_long_enough"],
    ),
    Mutant(
        "move-guard-unasked",
        "a switch is done though statements cross, or nobody has watched for a day",
        [
            Swap(
                f"{MOVING}/guarded.py",
                "against_guard",
                "found.clean_seconds >= CLEAN.total_seconds()",
                "True",
            )
        ],
        [f"{EVIDENCE}::test_a_switch_asks_for_a_day_without_a_finding_up_to_now"],
    ),
    Mutant(
        "move-guard-untold",
        "an application's processes do not report what their guards have seen",
        [Swap("syncline/split/reports.py", "Reports.look", "self._thread.start()", "pass")],
        [f"{EVIDENCE}::test_a_process_reports_what_its_guard_has_seen"],
    ),
    Mutant(
        "move-leaves-behind",
        "tables that came after the copy stay behind when the sides change",
        [Swap(f"{MOVING}/newcomers.py", "see_that_all_move", "left_behind(one, ownership, goal)", "[]")],
        [
            "tests/integration/test_split_move_altered.py::test_tables_that_came_after_the_copy_hold_back_every_change_of_sides"
        ],
    ),
    Mutant(
        "move-drops-strangers",
        "the end of a move drops tables that do not carry its gate",
        [
            Swap(
                f"{MOVING}/dropping.py",
                "_ours",
                "if doubtful or row is None or row[0] != Mode.LINK: ...",
                "if False: ...",
            )
        ],
        [f"{MOVE}::test_a_move_is_given_up_and_begun_anew"],
    ),
    Mutant(
        "move-anywhere",
        "commands of a move work on whatever database a URL leads to",
        [Swap(f"{MOVING}/identity.py", "is_same", "if known['oid'] != found['oid']: ...", "if False: ...")],
        [f"{MOVE}::test_a_move_is_given_up_and_begun_anew"],
    ),
    Mutant(
        "move-end-unlooked",
        "a move is finished though its tables were brought back while a person was asked",
        [
            Swap(
                f"{MOVING}/ending.py",
                "_against",
                "if state.journal.goal != goal or not state.settled(goal): ...",
                "if False: ...",
            )
        ],
        [f"{MOVE}::test_a_move_is_finished_when_it_has_served_for_long_enough"],
    ),
    Mutant(
        "move-way-back-uncaptured",
        "a switch is done though the new side does not capture the changes of a table",
        [Swap(f"{MOVING}/probe.py", "_tested", "not marked", "False")],
        [f"{MOVE}::{PROBED}"],
    ),
    Mutant(
        "move-way-back-untried",
        "a switch is done though home refuses what the way back brings",
        [Swap(f"{MOVING}/probe.py", "_tested", "_bring(table, home, ours, row)", "pass")],
        [f"{MOVE}::{PROBED}"],
    ),
    Mutant(
        "move-readers-behind-an-opening",
        "readers wait behind what is done to keys at a change of sides, while it waits for others",
        [Swap(f"{MOVING}/moving.sql", "act_lock", "LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE", "NULL")],
        [f"{TESTS}/test_split_opening.py::test_readers_are_let_through_while_others_are_waited_for"],
    ),
    Mutant(
        "move-woken-in-an-opening",
        "a coordinator that was frozen turns off what acts on new rows on a side that serves again by then",
        [
            Swap(
                f"{MOVING}/opening.py",
                "_script",
                "Literal(number)",
                "Literal(2**62)",
            )
        ],
        [f"{TESTS}/test_split_opening.py::test_a_coordinator_that_wakes_up_late_changes_nothing_of_a_later_one"],
    ),
    Mutant(
        "move-woken-by-an-old-snapshot",
        "so does one whose transactions are REPEATABLE READ",
        [Swap(f"{SWITCH}/gate.py", "Session._opened", "if not self.address.pooled: ...", "if False: ...")],
        [f"{TESTS}/test_split_opening.py::test_nor_does_one_by_a_role_whose_transactions_see_what_was_before"],
    ),
    Mutant(
        "move-woken-after-its-end",
        "a coordinator that was frozen turns off the triggers of a side whose move is over",
        [Swap(f"{MOVING}/moving.sql", "act", "WHERE name = {name}), true)", "WHERE name = {name}), false)")],
        [f"{TESTS}/test_split_opening.py::test_when_a_move_is_over_nobody_turns_anything_on_or_off"],
    ),
    Mutant(
        "move-opening-of-before",
        "what is turned on and off is what a coordinator has read that was frozen meanwhile",
        [Swap(f"{MOVING}/moving.sql", "learn_opening", "AND j.number = %(number)s", "")],
        [f"{TESTS}/test_split_opening.py::test_what_is_turned_on_and_off_is_noted_by_the_coordinator_in_charge"],
    ),
    Mutant(
        "move-frozen-in-an-opening",
        "a coordinator that is frozen while it turns triggers on and off keeps tables locked until it wakes up",
        [
            Swap(
                f"{MOVING}/opening.py",
                "_carry_out",
                'await connection.execute(SQL(blocks("moving.sql", PACKAGE)["do"]).format(script=Literal(script)))',
                "async with connection.transaction():\n"
                '    await connection.execute(SQL(blocks("moving.sql", PACKAGE)["do"]).format(script=Literal(script)))',
            )
        ],
        [f"{TESTS}/test_split_opening.py::test_who_is_frozen_meanwhile_leaves_no_lock_behind"],
    ),
    Mutant(
        "move-follows-coordinators",
        "what a coordinator does to keys of the side that it has closed is done to the one that serves",
        [
            Swap(
                f"{MOVING}/altering.py",
                "Watcher._followed",
                "gate_in(here, self.one.ends.database) != gates.rows[self.side]",
                "False",
            )
        ],
        [
            f"{TESTS}/test_split_move_altered.py::test_what_a_coordinator_does_to_a_side_that_it_has_closed_is_not_followed"
        ],
    ),
    Mutant(
        "move-rehearsed-away",
        "a rehearsal stands for a way back that fails",
        [
            Swap(
                f"{MOVING}/probes.py",
                "against_probes",
                "one.in_the_way and one.entity in rehearsed",
                "one.entity in rehearsed",
            )
        ],
        [
            f"{TESTS}/test_split_rehearsal.py::test_a_rehearsal_stands_for_what_could_not_be_tested_and_for_nothing_that_fails"
        ],
    ),
    Mutant(
        "rehearsal-left-behind",
        "what a killed rehearsal has left stays on the servers",
        [Swap("syncline/split/rehearsing/scratch.py", "_left_over", "[name for (name,) in rows]", "[]")],
        [f"{TESTS}/test_split_rehearsal.py::test_what_one_has_kept_goes_with_the_next_of_the_same"],
    ),
    Mutant(
        "move-way-back-kept",
        "the test of the way back leaves its writes at home",
        [Swap(f"{MOVING}/probe.py", "_bring", "home.transaction(force_rollback=True)", "home.transaction()")],
        [f"{MOVE}::{PROBED}"],
    ),
    Mutant(
        "move-alterations-unseen",
        "what is altered while a move lasts is left out over there",
        [Swap(f"{MOVING}/altering.py", "Watcher.turn", "before != self._seen", "False")],
        [f"{TESTS}/test_split_move_altered.py::test_what_depends_on_a_dropped_column_over_there_is_not_taken_along"],
    ),
    Mutant(
        "move-column-after-an-opening",
        "a column that came between an opening and the first look is taken for what the table was",
        [Swap(f"{MOVING}/altering.py", "Watcher._is_of_now", "shared(one, others.get(one.table.quoted))", "one")],
        [
            f"{TESTS}/test_split_move_altered.py::test_a_column_that_came_between_an_opening_and_the_first_look_is_followed"
        ],
    ),
    Mutant(
        "move-switches-what-is-not-captured",
        "a side is switched though its triggers are off: nothing waits, and nothing was carried over",
        [Swap(f"{MOVING}/link.py", "MoveLink.ready", "await capture.require(self._ways[source], written=True)", "")],
        [
            f"{TESTS}/test_split_move_altered.py::test_no_switch_where_writes_are_not_captured_and_all_is_marked_when_they_are_again"
        ],
    ),
    Mutant(
        "move-ends-a-copy-that-goes-on",
        "a table that stopped and goes on counts as copied, though ranges of it are under way",
        [Swap(f"{MOVING}/link.sql", "hold", "AND copied_at IS NOT NULL RETURNING id", "RETURNING id")],
        [f"{TESTS}/test_split_move_altered.py::test_a_stop_and_its_end_leave_a_copy_that_goes_on_alone"],
    ),
    Mutant(
        "move-proved-before-a-way-back",
        "what was proved before the first switch counts for the second one",
        [Swap(f"{MOVING}/link.py", "MoveLink._brought_back", "max(there) > _NEVER", "False")],
        [
            f"{TESTS}/test_split_move_altered.py::test_what_was_proved_before_an_alteration_or_a_way_back_is_asked_for_again"
        ],
    ),
    Mutant(
        "move-follows-what-is-past",
        "what was altered on a side that did not serve is done to the other one when it serves again",
        [Swap(f"{MOVING}/altering.py", "Watcher._is_of_now", "theirs <= watched.since()", "True")],
        [
            f"{TESTS}/test_split_move_altered.py::test_what_was_altered_while_the_other_side_served_is_not_followed_afterwards"
        ],
    ),
    Mutant(
        "move-halts-whole",
        "changes of a table that has stopped are not held",
        [Swap(f"{MOVING}/holding.py", "hold", '"hold" if held else "let_go"', '"let_go"')],
        [
            f"{TESTS}/test_split_move_altered.py::test_a_column_that_was_dropped_and_added_anew_stops_its_table_and_empties_nothing"
        ],
    ),
    Mutant(
        "clearing-untagged",
        "a copy that replaces a table has its rows deleted on the other side by the way back",
        [
            Swap(
                f"{COPYING}/ranges.py",
                "SqlRanges.lay",
                'await self._run("tag", {"link": self._link, "admission": self._admission})',
                "pass",
            )
        ],
        [f"{TESTS}/test_links_back.py::test_a_table_is_copied_and_verified_and_repaired_in_the_schema_of_its_link"],
    ),
    Mutant(
        "way-back-is-a-gap",
        "a way back that is added has the records of the way marked, and swept",
        [Swap("syncline/capture/postgres/plan.py", "_plan_functions", "not there.missed_nothing(function)", "True")],
        [f"{TESTS}/test_links_back.py::test_a_way_back_that_is_added_has_nothing_marked"],
    ),
    Mutant(
        "way-back-of-the-file",
        "a worker with an old file puts capture back without the look at the way back's tag",
        [Swap("syncline/capture/postgres/put_back.py", "put_back", "entered(link)", "entered(current())")],
        [f"{TESTS}/test_links_back.py::test_what_is_put_back_passes_over_what_it_passed_over"],
    ),
    Mutant(
        "revoked-from-another-link",
        "a link that goes takes the rights of another link's worker along",
        [Swap("syncline/capture/postgres/grants.py", "plan_revokes", "(heir := row['heir']) is not None", "False")],
        [f"{TESTS}/test_links.py::test_two_links_of_one_worker_role_revoke_its_rights_when_both_are_gone"],
    ),
    Mutant(
        "schema-of-another-link",
        "texts are those of the link that asked first",
        [Swap("syncline/postgres/sql.py", "blocks", "current()", "Link()")],
        ["tests/unit/test_config_links.py::test_texts_are_those_of_the_link_at_hand"],
    ),
    Mutant(
        "one-wake-lock-for-all-links",
        "an idle worker holds the lock that tells another link's writers that nobody sleeps",
        [Swap("syncline/model/link.py", "Link.wake_lock", "zlib.crc32(self.name.encode())", "0")],
        ["tests/unit/test_config_links.py::test_links_have_different_locks"],
    ),
    Mutant(
        "tokens-of-any-link",
        "a token of one link is taken for another's",
        [
            Swap(
                "syncline/tokens/freshness.py",
                "Freshness.synced",
                "origin.rpartition('.')[0] == self._link.name",
                "True",
            )
        ],
        [f"{TESTS}/test_links.py::test_every_command_works_in_the_schema_of_its_link_alone"],
    ),
    Mutant(
        "anybodys-table",
        "another link's claim on a table is overlooked",
        [Swap("syncline/engines/postgres/target/claims.py", "require_free", "row is not None", "False")],
        [f"{ONE_LINK}::test_a_table_that_another_link_writes_is_refused_by_name_until_that_link_lets_it_go"],
    ),
    Mutant(
        "claims-side-by-side",
        "two links look for each other's claims at once, and neither sees one",
        [
            Swap(
                "syncline/engines/postgres/target/claims.py", "take", "await connection.execute(_block('turn'))", "pass"
            )
        ],
        [f"{ONE_LINK}::test_of_two_at_once_one_has_it"],
    ),
    Mutant(
        "verified-while-it-is-copied",
        "a worker verifies a table that is being copied",
        [Swap("syncline/verify/continuous.py", "Continuous._is_ready", "not under_way", "True")],
        [f"{TESTS}/test_verify_continuous.py::test_a_table_that_is_being_copied_has_its_turn_when_it_is_copied"],
    ),
    Mutant(
        "proved-by-half-a-copy",
        "a pass during which its table was copied counts",
        [
            Swap(
                "syncline/verify/continuous.py",
                "Continuous._verify",
                "(await rounds.copies()).get(plan.id) == copies.get(plan.id)",
                "True",
            )
        ],
        [f"{TESTS}/test_verify_continuous.py::test_a_pass_during_which_its_table_was_copied_proves_nothing"],
    ),
    Mutant(
        "a-refused-table-is-forgotten",
        "rows of a table that was refused once may be taken along by a delete",
        [
            Swap(
                "syncline/engines/postgres/target/careful.py",
                "Careful.takes_along",
                "one.cascades and one.child in self._tables and changes.gone",
                "False",
            )
        ],
        [f"{SQL_ROWS}::test_a_delete_takes_no_row_along_of_a_table_that_was_refused"],
    ),
    Mutant(
        "the-targets-catalog-is-read-once",
        "what changes in the target's tables is seen by another worker only",
        [
            Swap(
                "syncline/engines/postgres/target/known.py",
                "KnownTables.look",
                "found != self._catalog",
                "False",
            )
        ],
        [f"{SQL_ROWS}::test_what_changes_in_the_targets_catalog_is_seen_with_the_next_renewal"],
    ),
    Mutant(
        "tasks-on-the-wrong-side",
        "a sweep of a TRUNCATE runs although the way back serves",
        [Swap("syncline/backfill/permit.py", "Permit.need", "self._reverse is None", "True")],
        [f"{RIGHT_SIDE}::test_a_truncate_waits_while_the_way_back_serves_and_is_carried_out_afterwards"],
    ),
    Mutant(
        "the-right-side-is-looked-for-once",
        "a task does not ask again whether the way back serves",
        [Swap("syncline/backfill/pace.py", "Pacer.ready", "self._permit is not None", "False")],
        [f"{RIGHT_SIDE}::test_a_task_stops_at_its_next_chunk_when_the_way_back_is_installed_meanwhile"],
    ),
    Mutant(
        "a-collection-of-two-links",
        "a link notes nowhere which collections it writes",
        [
            Swap(
                "syncline/engines/mongo/claims.py",
                "Claims.take",
                "record = {'link': mine.link, 'system': mine.system, 'collections': [*mine.collections]}",
                "return",
            )
        ],
        [
            "tests/cases/test_collections_claimed.py::test_of_two_that_want_one_collection_at_once_neither_stands_beside_the_other"
        ],
    ),
    Mutant(
        "a-ring-of-three",
        "a link notes only where its own source is, not what the link before it knows",
        [
            Swap(
                "syncline/engines/postgres/target/claims.py",
                "Claim.origins",
                "[(self.system, self.tables[table]), *self.beyond.get(table, ())]",
                "[(self.system, self.tables[table])]",
            )
        ],
        [
            "tests/cases/test_one_link_a_table.py::test_a_ring_of_three_is_seen_by_the_link_that_closes_it_and_by_the_next_one_that_starts"
        ],
    ),
    Mutant(
        "commands-on-the-wrong-side",
        "commands mark and copy although the way back serves",
        [Swap("syncline/ports/reverse.py", "require_right_side", "reverse is None", "True")],
        [f"{RIGHT_SIDE}::test_every_command_is_refused_by_name_and_says_what_to_do"],
    ),
    Mutant(
        "a-reason-against-a-gate",
        "an operator's reason outdoes a gate that says that the other side serves",
        [
            Swap(
                "syncline/backfill/permit.py",
                "Permit.need",
                "found.link is not None and task.options.get(DESPITE)",
                "task.options.get(DESPITE)",
            )
        ],
        [f"{RIGHT_SIDE}::test_where_there_is_a_gate_it_alone_decides"],
    ),
    Mutant(
        "in-the-way-of-the-way-back",
        "what stands in a record's way is marked, though only the other side has it",
        [
            Swap(
                "syncline/relay/rows_in_the_way.py",
                "RowsInTheWay.mark",
                "await self._reverse.serving(entities[entity], fresh=False) is None",
                "True",
            )
        ],
        [f"{RIGHT_SIDE}::test_a_conflict_does_not_delete_what_the_way_back_has_not_brought_yet"],
    ),
    # -- documents as a source: the mark in the same single write
    Mutant(
        "documents-operators-match-tombstones",
        "operators change a deleted document",
        [Swap(f"{DOCUMENTS}/filters.py", "live", "{**_foreign(filter_ or {}), **LIVE}", "_foreign(filter_ or {})")],
        [f"{MARKED}::test_operators_match_no_tombstone"],
    ),
    Mutant(
        "documents-operators-keep-the-version",
        "operators set a mark and leave the version",
        [Swap(f"{DOCUMENTS}/updates.py", "_marked_operators", "Int64(1)", "Int64(0)")],
        [f"{MARKED}::test_an_insert_leaves_the_version_to_the_server_and_a_pipeline_draws_it"],
    ),
    Mutant(
        "documents-revived-below",
        "a tombstone gives way to a document with a version of its own",
        [
            Swap(
                f"{DOCUMENTS}/writes.py",
                "revive_inserted",
                'Call("update_one", (_exactly(found), replacement(document)), kept)',
                'Call("replace_one", (_exactly(found), inserted(document)), kept)',
            )
        ],
        [f"{MARKED}::test_a_tombstone_gives_way_under_a_version_above_its_own"],
    ),
    Mutant(
        "documents-revived-unasked",
        "a tombstone is written over without comparing its mark",
        [
            Swap(
                f"{DOCUMENTS}/writes.py",
                "_exactly",
                '{"_id": {"$eq": found.id}, MARK: found.mark}',
                '{"_id": {"$eq": found.id}}',
            )
        ],
        [f"{MARKED}::test_inserts_that_race_for_a_tombstone_have_one_winner"],
    ),
    Mutant(
        "documents-upsert-forgets-its-filter",
        "an upsert onto a tombstone begins without the filter's values",
        [
            Swap(
                f"{DOCUMENTS}/filters.py",
                "begun",
                "_nested(equalities(filter_)) if filter_ else {}",
                "{}",
            )
        ],
        [f"{MARKED}::test_a_tombstone_gives_way_under_a_version_above_its_own"],
    ),
    Mutant(
        "documents-deleted-at-once",
        "a delete leaves no tombstone",
        [
            Swap(
                f"{DOCUMENTS}/writes.py",
                "delete",
                "Call(method, (live(filter_), tombstone()), dict(options))",
                'Call(method.replace("update", "delete"), (live(filter_),), dict(options))',
            ),
            Swap(f"{DOCUMENTS}/writes.py", "delete", "done.matched_count", "done.deleted_count"),
        ],
        [f"{PUMP}::test_documents_of_all_kinds_of_writes_become_rows_and_deletes_delete_them"],
    ),
    Mutant(
        "documents-operators-leave-the-mark",
        "operators set no mark",
        [
            Swap(
                f"{DOCUMENTS}/updates.py",
                "_marked_operators",
                '{**update.get("$set", {}), MARK: ObjectId(), **_number()}',
                '{**update.get("$set", {}), "_sync.seen": True, **_number()}',
            )
        ],
        [f"{PUMP}::test_documents_of_all_kinds_of_writes_become_rows_and_deletes_delete_them"],
    ),
    Mutant(
        "documents-upserted-stay-deleted",
        "an upsert by operators onto a tombstone leaves it one",
        [
            Swap(
                f"{DOCUMENTS}/updates.py",
                "revival",
                '{**update.get("$unset", {}), DELETED: ""}',
                '{**update.get("$unset", {}), "_sync.none": ""}',
            )
        ],
        [f"{MARKED}::test_a_tombstone_gives_way_under_a_version_above_its_own"],
    ),
    Mutant(
        "documents-aggregated-with-tombstones",
        "an aggregation shows what was deleted",
        [
            Swap(
                f"{DOCUMENTS}/aggregations.py",
                "hidden",
                "[HIDDEN[0], *early, HIDDEN[1], *stages[len(early) :]]",
                "[*early, HIDDEN[1], *stages[len(early) :]]",
            )
        ],
        [f"{MARKED}::test_aggregations_show_no_tombstone_and_nothing_of_ours"],
    ),
    Mutant(
        "documents-sorted-by-our-field",
        "an aggregation's first stages see marks and versions",
        [Swap(f"{DOCUMENTS}/aggregations.py", "_choice", "refuse_ours(path)", "pass")],
        [f"{MARKED}::test_what_cannot_be_marked_or_hidden_is_refused"],
    ),
    Mutant(
        "documents-forgotten-though-there",
        "the version of a deleted key is forgotten though MongoDB has a document of it",
        [Swap("syncline/relay/documents/recovery.py", "forget", "any(id_ is one for one in absent)", "True")],
        [
            f"{PUMP}::test_a_deleted_key_is_forgotten_where_there_is_no_document_under_a_number_that_holds_up_what_is_late"
        ],
    ),
    Mutant(
        "documents-forgotten-under-the-old-number",
        "what is late is written after its deleted key was forgotten",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.py",
                "VersionedRows.forget",
                "await self._renumber(connection)",
                "await self._number(connection)",
            )
        ],
        [f"{PUMP}::test_deleted_keys_are_forgotten_under_a_new_number"],
    ),
    Mutant(
        "documents-restored-under-their-marks",
        "after a restore documents keep the marks that others may clear",
        [
            Swap(
                f"{MONGO}/marked.py",
                "MongoMarkedDocuments.mark_all",
                "ObjectId()",
                '"$_sync.mark"',
            )
        ],
        [f"{PUMP}::test_after_a_restore_of_either_side_all_is_marked_and_swept"],
    ),
    Mutant(
        "documents-looked-at-all-at-once",
        "a second look reads as many large documents as small ones",
        [Swap("syncline/documents/verifying.py", "DocumentVerifier._look", "read <= LOOK_BYTES // 2", "True")],
        [f"{DOCUMENT_VERIFY}::test_of_large_documents_a_second_look_reads_few_at_once"],
    ),
    Mutant(
        "rows-keep-what-was",
        "what the rest keeps of a field counts although its column was changed",
        [Swap(f"{AS_ROWS}/plans.py", "FieldPlan.give", "if same(self.fit(kept)[0], value): ...", "if True: ...")],
        [f"{BOTH_WAYS}::test_a_changed_column_wins_over_what_the_rest_keeps"],
    ),
    Mutant(
        "rows-missing-is-null",
        "a field that is missing is not told from one whose column is empty otherwise",
        [
            Swap(
                f"{AS_ROWS}/plans.py",
                "FieldPlan.absent",
                'return self.default is not None or self.field.null == "null"',
                "return False",
            )
        ],
        [f"{BOTH_WAYS}::test_missing_is_not_null_and_a_default_is_neither"],
    ),
    Mutant(
        "rows-forget-the-order",
        "the order of fields is not kept",
        [
            Swap(
                f"{AS_ROWS}/plans.py",
                "Node.split",
                "if self.keep_order and names != self.usual(names): ...",
                "if False: ...",
            )
        ],
        [f"{BOTH_WAYS}::test_fields_come_back_in_the_order_that_they_had"],
    ),
    Mutant(
        "rows-forget-the-type",
        "5 in a column stands for 5.0, too",
        [
            Swap(
                f"{AS_ROWS}/types.py",
                "Type.compared",
                "identical(self.stand_for(shown), value)",
                "self.stand_for(shown) == value",
            )
        ],
        [f"{BOTH_WAYS}::test_a_number_of_another_type_stands_in_the_column_and_its_type_in_the_rest"],
    ),
    Mutant(
        "rows-one-nan",
        "a NaN of other bits is taken for the one that PostgreSQL keeps",
        [
            Swap(
                f"{AS_ROWS}/types.py",
                "_double",
                "value if value == value or identical(value, math.nan) else None",
                "value",
            )
        ],
        [f"{FATES}::test_what_the_page_says_becomes_of_a_value_is_what_becomes_of_it"],
    ),
    Mutant(
        "rows-lose-elements",
        "elements that a child table cannot take are left out",
        [
            Swap(
                f"{AS_ROWS}/plans.py",
                "ArrayPlan._element",
                "return NOTHING if exact and found is not None else to_json(item)",
                "return NOTHING",
            )
        ],
        [f"{BOTH_WAYS}::test_elements_that_a_child_table_cannot_take_stay_at_their_places"],
    ),
    Mutant(
        "rows-take-names-for-ours",
        "a field with a dollar sign in front is not told from what we note beside fields",
        [Swap(f"{AS_ROWS}/exact_json.py", "json_name", 'f"${name}" if name.startswith("$") else name', "name")],
        [f"{FATES}::test_what_the_page_says_becomes_of_a_value_is_what_becomes_of_it"],
    ),
    Mutant(
        "rows-one-id-for-two",
        "with ids of all types a text of 24 characters has the key of the ObjectId",
        [
            Swap(
                f"{AS_ROWS}/types.py",
                "_any_id",
                "if type(value) is ObjectId: ...",
                "if type(value) in (ObjectId, str): ...",
            )
        ],
        [f"{BOTH_WAYS}::test_an_object_id_and_its_characters_are_two_keys"],
    ),
    Mutant(
        "rows-of-two-fields-one",
        "of two fields with one name the first is dropped",
        [Swap(f"{AS_ROWS}/reading.py", "_fields", "text is None or text in found", "text is None")],
        [f"{FATES}::test_what_the_page_says_becomes_of_a_value_is_what_becomes_of_it"],
    ),
    Mutant(
        "rows-id-first",
        "a document within is encoded with its _id first",
        [
            Swap(
                "syncline/model/strict_bson.py",
                "encoded",
                'if "_id" in document and next(iter(document)) != "_id": ...',
                "if False: ...",
            )
        ],
        ["tests/unit/test_strict_bson.py::test_fields_stay_in_their_order_wherever_the_id_stands"],
    ),
    Mutant(
        "rows-of-before-stay",
        "rows of child tables that a document has no longer stay",
        [
            Swap(
                f"{POSTGRES}/documents/rows.py",
                "DocumentTables.writing_columns",
                "yield self._removals[table.number], [arrays[0][0], *arrays[table.number][: table.keys]]",
                "pass",
            )
        ],
        [f"{IN_TABLES}::test_children_are_replaced_and_those_that_stay_are_not_written_again"],
    ),
    Mutant(
        "repositories-nulls-last",
        "PostgreSQL sorts null behind all values, MongoDB before them",
        [
            Swap(
                f"{REPOSITORIES}/statements.py",
                "_ordered",
                '"{} DESC NULLS LAST" if descending else "{} ASC NULLS FIRST"',
                '"{} DESC" if descending else "{} ASC"',
            )
        ],
        [f"{IN_REPOSITORIES}::TestPostgreSQL::test_the_order_is_the_same"],
    ),
    Mutant(
        "repositories-a-likeness-counts",
        "what a column shows is taken for the document's value: defaults, likenesses of what the rest keeps",
        [Swap(f"{REPOSITORIES}/statements.py", "_counting", 'joined(parts, " AND ")', "found")],
        [f"{IN_REPOSITORIES}::TestPostgreSQL::test_conditions_find_the_same"],
    ),
    Mutant(
        "repositories-ramp-fails",
        "in a ramp a read fails with PostgreSQL",
        [
            Swap(
                f"{REPOSITORIES}/phased.py",
                "_Phased._ramped",
                "self._failed(error)\nreturn mongodb()",
                "raise",
            )
        ],
        [f"{IN_REPOSITORIES}::test_where_postgresql_fails_in_a_ramp_mongodb_answers"],
    ),
    Mutant(
        "repositories-own-methods-write-past-the-writer",
        "a method of one's own that writes does so without the writer: no audit log, and PostgreSQL waits for the worker",
        [Swap(f"{REPOSITORIES}/phased.py", "_Phased.__init__", "written_by(one, writer, self._get)", "one")],
        [f"{IN_REPOSITORIES}::TestRamp::test_a_method_of_ones_own_writes_by_the_service"],
    ),
    Mutant(
        "repositories-update-answers-from-the-old-side",
        "an update that waited for a change of sides is answered by the side that does not have it yet",
        [
            Swap(
                f"{REPOSITORIES}/written.py",
                "written_by",
                "writer.update(repository, id, changes, get=get)",
                "writer.update(repository, id, changes, get=repository.get)",
            )
        ],
        ["tests/unit/test_writing_while_sides_change.py::test_an_update_answers_what_was_written_on_the_other_side"],
    ),
    Mutant(
        "repositories-writes-are-not-durable",
        "what a killed MongoDB has acknowledged to a project's repositories may be gone",
        [
            Swap(
                "syncline/contrib/django/document_databases.py",
                "DocumentDatabases.mongodb",
                "self.client.get_database(name, write_concern=DURABLE)",
                "self.client[name]",
            )
        ],
        [f"{IN_REPOSITORIES}::test_writes_of_a_projects_collections_are_durable"],
    ),
    Mutant(
        "repositories-ramp-lacks-ones-own",
        "a process does not find in a ramp what it has just written and left to the worker",
        [
            Swap(
                "syncline/phases/dual_write/left.py",
                "Left.is_behind",
                "standing is not None and standing.mark is not None",
                "False",
            )
        ],
        [f"{IN_REPOSITORIES}::test_a_ramp_reads_mongodb_while_a_write_of_this_process_is_left"],
    ),
    Mutant(
        "repositories-reads-write",
        "a method that reads may write to the side that follows",
        [Swap(f"{REPOSITORIES}/abstract.py", "require_writing", "if _reading.get(): ...", "if False: ...")],
        [f"{IN_REPOSITORIES}::test_a_method_that_reads_may_not_write"],
    ),
    Mutant(
        "phases-read-before-lease",
        "a process reads the phases before it notes its lease: a change right between does not wait for it",
        [
            Swap(
                "syncline/phases/journal_phases.py",
                "JournalPhases._turn",
                "_beat(place, self.process, self._lease, noted)\nfound, gates = _read(place)",
                "found, gates = _read(place)\n_beat(place, self.process, self._lease, noted)",
            )
        ],
        [f"{IN_PHASES}::test_the_lease_is_noted_before_the_phases_are_read"],
    ),
    Mutant(
        "documents-part-is-evidence",
        "a verification of a part of a collection counts as one of all of it",
        [Swap("syncline/documents/verifying.py", "DocumentVerifier.whole", "one.part == WHOLE", "True")],
        [f"{TESTS}/test_document_verify_parts.py::test_a_range_begins_with_one_key_and_ends_before_another"],
    ),
    Mutant(
        "documents-claims-are-nobodys",
        "a document link is installed on tables that another link writes",
        [
            Swap(
                "syncline/documents/claiming.py",
                "Claiming.is_noted",
                "await claims.require_free(self._connection, self._tables, NAME)",
                "pass",
            )
        ],
        [f"{TESTS}/test_document_claims.py::test_what_another_link_writes_is_not_installed"],
    ),
    Mutant(
        "phases-request-changes-sides",
        "a change of who is read is acknowledged while a request goes by an earlier one",
        [
            Swap(
                "syncline/phases/journal_phases.py",
                "JournalPhases._acknowledged",
                "return max(number, noted.number)",
                "return newest",
            )
        ],
        [f"{IN_PHASES}::test_a_request_goes_by_one_phase_and_a_change_waits_for_it"],
    ),
    Mutant(
        "phases-request-of-two-phases",
        "reads of one request go by a change that came in its middle",
        [Swap("syncline/phases/epoch.py", "Epochs.standing", "(epoch := _request.get()) is None", "True")],
        [
            "tests/unit/test_phase_epoch.py::test_a_request_keeps_what_its_first_question_found_and_the_change_waits_for_its_end"
        ],
    ),
    Mutant(
        "phases-request-keeps-a-truth-that-is-over",
        "a request that began before a change of sides reads the side that follows",
        [
            Swap(
                "syncline/phases/epoch.py",
                "Epochs.standing",
                "then.phase in _ALIKE and now.phase in _ALIKE and taken.holds()",
                "taken.holds()",
            )
        ],
        ["tests/unit/test_phase_epoch.py::test_a_change_of_the_truth_or_of_who_is_written_waits_for_no_request"],
    ),
    Mutant(
        "phases-nobody-waits",
        "a change does not wait for processes that go by an earlier one",
        [
            Swap(
                "syncline/phases/changing.py",
                "Control.behind",
                "return [one for one in self.mongodb.processes() if one.number < number]",
                "return []",
            )
        ],
        [f"{IN_PHASES}::test_a_process_that_is_frozen_is_waited_for_until_its_lease_has_run_out"],
    ),
    Mutant(
        "phases-number-of-the-plan",
        "a change has the number that it was planned with, which another one may have by then",
        [
            Swap(
                "syncline/phases/in_mongodb.py",
                "InMongoDB.change",
                "number = max((one.number for one in now.values()), default=0) + 1",
                "number = change.number",
            )
        ],
        [f"{IN_PHASES}::test_changes_of_two_who_planned_at_once_have_numbers_of_their_own"],
    ),
    Mutant(
        "phases-lag-of-a-full-look",
        "a backlog that is worked off passes for no lag",
        [Swap("syncline/phases/evidence.py", "_lag_of", "len(before) >= MARKS", "False")],
        [f"{IN_PHASES}::test_a_ramp_begins_with_evidence"],
    ),
    Mutant(
        "phases-known-for-ever",
        "what is known of a phase holds without a lease",
        [
            Swap(
                "syncline/phases/journal_phases.py",
                "JournalPhases._standing",
                "boottime() < self._until.get(_authority(standing), 0.0)",
                "_authority(standing) in self._until",
            )
        ],
        [f"{IN_PHASES}::test_what_is_known_holds_as_long_as_the_lease"],
    ),
    Mutant(
        "django-installs-for-a-test-run",
        "the migration of Django's test database installs in the database of the repositories",
        [
            Swap(
                "syncline/contrib/django/apps.py",
                "_install",
                "if differs := [*differing(connections[using].settings_dict, databases)]: ...",
                "if False: ...",
            )
        ],
        ["tests/acceptance/taskboard/test_operations.py::test_a_migration_of_djangos_test_database_installs_nothing"],
    ),
    Mutant(
        "audit-before-of-a-moment-ago-in-live",
        "in live the log says that a document was written over which others had changed since it was read",
        [
            Swap(
                "syncline/phases/dual_write/in_live.py",
                "_Rows._done",
                "if not (yield from self._locked(key)): ...",
                "if False: ...",
            )
        ],
        [
            "tests/integration/test_dual_write_in_live.py::test_the_log_has_what_was_written_over_though_others_wrote_it_meanwhile"
        ],
    ),
    Mutant(
        "uninstalled-in-a-ramp",
        "what carries documents is taken away while reads go to PostgreSQL",
        [
            Swap(
                "syncline/phases/leaving.py",
                "_require_left",
                "if standing is not None and standing.phase is Phase.RAMP: ...",
                "if False: ...",
            )
        ],
        ["tests/integration/test_phase_leaving.py::test_gates_and_the_way_back_go_and_everybody_may_write_the_rows"],
    ),
    Mutant(
        "shadow-declares-nothing-in-a-project",
        "a ramp of a Django project begins though reading methods were never compared",
        [
            Swap(
                "syncline/contrib/django/document_connections.py",
                "Beside.report",
                "found if isinstance(found, Report) else None",
                "None",
            )
        ],
        [f"{DATABASES_OF_DOCUMENTS}::test_what_a_repository_can_be_asked_is_declared_to_the_evidence"],
    ),
    Mutant(
        "shadow-counts-of-the-parent-twice",
        "a forked process brings its parent's shadow reads to the evidence again",
        [Swap("syncline/phases/shadow/report.py", "Report.__post_init__", "after_fork(self._forked)", "pass")],
        ["tests/unit/test_forking.py::test_counts_of_the_parent_are_given_out_by_the_parent_alone"],
    ),
    Mutant(
        "shadow-compares-what-the-request-made",
        "an answer is compared as the request has changed it: a default that it fills in hides a difference",
        [Swap("syncline/phases/shadow/reads.py", "ShadowReads.compare", "kept(answer)", "answer")],
        ["tests/unit/test_shadow_reads.py::test_a_default_that_the_request_fills_in_hides_no_difference"],
    ),
    Mutant(
        "shadow-compares-what-the-request-made-blocking",
        "the same where calls block",
        [Swap("syncline/phases/shadow/blocking.py", "_Running.compare", "kept(answer)", "answer")],
        ["tests/unit/test_shadow_reads.py::test_a_blocking_request_may_change_its_answer"],
    ),
    Mutant(
        "shadow-masks-not-within",
        "a record that the other side lacks is reported with what is masked in it",
        [
            Swap(
                "syncline/phases/shadow/differences.py",
                "_masked",
                "if isinstance(value, Mapping): ...",
                "if False: ...",
            )
        ],
        ["tests/unit/test_shadow_reads.py::test_masked_values_are_not_shown_where_one_side_has_no_record"],
    ),
    Mutant(
        "ramp-waits-for-a-frozen-postgresql",
        "an answer of PostgreSQL is waited for without limit",
        [Swap("syncline/postgres/limited.py", "_limited", "time.monotonic() > ends", "False")],
        [f"{DATABASES_OF_DOCUMENTS}::test_a_frozen_postgresql_holds_up_one_read_of_a_ramp_and_mongodb_answers"],
    ),
    Mutant(
        "phases-postgresql-is-enough",
        "before live a process goes by what PostgreSQL alone says",
        [
            Swap(
                "syncline/phases/journal_phases.py",
                "_authority",
                "POSTGRESQL if standing.phase.postgresql_is_truth else MONGODB",
                "POSTGRESQL",
            )
        ],
        [f"{IN_PHASES}::test_without_mongodb_a_phase_before_live_is_not_known"],
    ),
    Mutant(
        "phases-lower-number",
        "of two databases that say different things, PostgreSQL is right",
        [
            Swap(
                "syncline/phases/standing.py",
                "highest",
                "collection not in said or standing.number > said[collection].number",
                "True",
            )
        ],
        [f"{IN_PHASES}::test_what_was_changed_without_postgresql_is_brought_there_by_the_next_change"],
    ),
    Mutant(
        "switch-acknowledged-without-a-second-look",
        "a write that was sent before MongoDB was closed is acknowledged, however late it arrives",
        [
            Swap(
                f"{DOCUMENTS}/gate.py",
                "_require_held",
                "not gate.holds(collection, number)",
                "False",
            )
        ],
        [
            "tests/unit/test_write_gate.py::test_a_write_is_acknowledged_only_if_the_gate_still_holds_after_it",
            f"{CHANGES_SIDES}::test_a_write_is_acknowledged_only_while_the_gate_holds",
        ],
    ),
    Mutant(
        "switch-closed-while-leases-hold",
        "MongoDB counts as closed while a process may still write there",
        [Swap(f"{SIDES}/sides.py", "MongoSide.change", "if verb is Verb.CLOSE: ...", "if False: ...")],
        [f"{CHANGES_SIDES}::test_a_closing_waits_for_a_process_that_has_not_learned_of_it"],
    ),
    Mutant(
        "switch-lower-number-passes",
        "a coordinator that was overtaken changes MongoDB's gate",
        [Swap(f"{SIDES}/gates_in_mongodb.py", "_require_in_charge", "gate.number > number", "False")],
        [f"{CHANGES_SIDES}::test_a_closing_waits_for_a_process_that_has_not_learned_of_it"],
    ),
    Mutant(
        "switch-no-barrier",
        "a side opens while readers go to the other one",
        [Swap(f"{SIDES}/readers.py", "PhaseReaders._earlier", "one.number < self._number", "False")],
        [f"{CHANGES_SIDES}::test_readers_who_have_not_learned_of_the_side_keep_it_from_opening"],
    ),
    Mutant(
        "switch-late-announcement",
        "a coordinator that was overtaken says which side is read",
        [Swap(f"{SIDES}/gates_in_mongodb.py", "GatesInMongoDB.announce", 'noted["number"] > number', "False")],
        [f"{CHANGES_SIDES}::test_readers_who_have_not_learned_of_the_side_keep_it_from_opening"],
    ),
    Mutant(
        "phases-opens-before-the-journal",
        "a side opens while PostgreSQL still says that the other one is read",
        [
            Swap(
                f"{SIDES}/readers.py",
                "PhaseReaders.behind",
                "await asyncio.wait({self._journal})\nself._journal.result()",
                "pass",
            )
        ],
        [f"{SERVED}::test_postgresql_has_the_phase_before_a_side_opens"],
    ),
    Mutant(
        "phases-way-back-is-not-served",
        "writers are paused while the lanes of the way back go to a worker that has just begun",
        [Swap(f"{SIDES}/link.py", "CollectionLink.ready", "await self._caught_up()", "self._carry_back()")],
        [
            f"{SERVED}::test_nobody_is_refused_before_every_lane_of_the_way_back_is_served",
            f"{SERVED}::test_no_worker_joins_those_who_serve_every_lane_as_a_collection_comes_back",
        ],
    ),
    Mutant(
        "phases-drain-waits-for-the-dead",
        "a drain waits for a worker that has died",
        [Swap(f"{SIDES}/link.py", "CollectionLink.drained", "waits and not served", "False")],
        [f"{SERVED}::test_a_drain_whose_worker_has_died_is_carried_on"],
    ),
    Mutant(
        "switch-not-drained",
        "PostgreSQL opens without what was written last",
        [Swap(f"{SIDES}/link.py", "CollectionLink.drained", "return await self._carried()", "return True")],
        [f"{CHANGES_SIDES}::test_a_collection_goes_over_and_comes_back_with_every_write"],
    ),
    Mutant(
        "switch-strays-stay",
        "what came too late stays in MongoDB while PostgreSQL serves",
        [Swap(f"{SIDES}/watching.py", "write_strays_over", "if keys: ...", "if False: ...")],
        [f"{CHANGES_SIDES}::test_what_comes_late_while_postgresql_serves_is_not_carried_and_is_written_over"],
    ),
    Mutant(
        "switch-carried-under-an-old-number",
        "what was read before a collection went over is carried after it came back",
        [Swap(f"{SIDES}/sides.py", "PostgresSide.change", "verb is Verb.LINK", "False")],
        [f"{CHANGES_SIDES}::test_what_was_read_before_a_collection_went_over_is_not_carried_after_it_came_back"],
    ),
    Mutant(
        "switch-old-numbers-are-carried",
        "a document that came late, when MongoDB was open again, is carried under its old number",
        [Swap(f"{MONGO}/marked.py", "MongoMarkedDocuments.pages", "if opened: ...", "if False: ...")],
        [f"{CHANGES_SIDES}::test_a_document_of_an_older_number_gets_the_present_one_before_it_is_carried"],
    ),
    Mutant(
        "switch-old-numbers-are-looked-at",
        "a document that came late, when MongoDB was open again, is carried between two walks under its old number",
        [
            Swap(
                f"{MONGO}/marked.py", "MongoMarkedDocuments.first", "{NUMBER: gate.opened} if gate.opened else {}", "{}"
            )
        ],
        [f"{FOLLOWING}::test_what_came_late_from_before_mongodb_was_opened_again_is_left_to_a_walk"],
    ),
    Mutant(
        "documents-followed-before-their-parents",
        "what is found of a collection is written before what it refers to, which is looked at more rarely",
        [Swap("syncline/relay/documents/following.py", "Follower._go_ahead", "self._ancestors[name]", "()")],
        [f"{FOLLOWING}::test_what_others_refer_to_is_brought_before_them"],
    ),
    Mutant(
        "documents-copies-are-not-told-apart",
        "a copy of the PostgreSQL takes marks of the same MongoDB",
        [
            Swap(
                "syncline/documents/standing.py",
                "require_no_other",
                "named.system is not None and named.system != kept.system",
                "False",
            )
        ],
        [f"{COPIED}::test_a_worker_of_a_copy_is_refused_by_name_and_takes_no_mark"],
    ),
    Mutant(
        "dual-write-reaches-copies",
        "a dual write carries to whichever PostgreSQL answers",
        [Swap("syncline/phases/dual_write/inline.py", "InlinePart._done", "if self._require: ...", "if False: ...")],
        [f"{COPIED}::test_a_dual_write_reaches_no_copy_in_the_call"],
    ),
    Mutant(
        "back-from-copies",
        "the way back of a copy writes the other one's documents",
        [Swap("syncline/phases/returning.py", "Returning._work", "await require_sides(link)", "None")],
        [f"{COPIED}::test_the_way_back_of_a_copy_writes_nothing_and_says_why"],
    ),
    Mutant(
        "switch-from-copies",
        "a copy changes the sides of the other one's collections",
        [Swap("syncline/phases/switching/changing.py", "change_sides", "await require_sides(link)", "None")],
        [f"{COPIED}::test_a_collection_of_a_copy_changes_no_sides"],
    ),
    Mutant(
        "closed-without-the-validator",
        "MongoDB is closed, and its validator admits what it did",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "GatesInMongoDB.shut",
                "self._admit(collection, gate, gate.number)",
                "None",
            )
        ],
        [f"{VALIDATED}::test_it_admits_the_number_of_whoever_may_write_at_each_moment"],
    ),
    Mutant(
        "opened-without-the-validator",
        "MongoDB is opened, or given to the link, and its validator still admits the closing's number",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "GatesInMongoDB.change",
                "verb is Verb.OPEN or (verb is Verb.LINK and found.mode != LINK)",
                "False",
            )
        ],
        [f"{VALIDATED}::test_it_admits_the_number_of_whoever_may_write_at_each_moment"],
    ),
    Mutant(
        "cleared-without-the-number",
        "who clears a mark does not say the number that the validator admits",
        [Swap("syncline/engines/mongo/clearing.py", "Clearing._clear", "self._numbers.get(collection, 0)", "0")],
        [f"{VALIDATED}::test_it_admits_the_number_of_whoever_may_write_at_each_moment"],
    ),
    Mutant(
        "marked-without-the-number",
        "who gives all documents a mark does not say the number that the validator admits",
        [Swap("syncline/engines/mongo/marked.py", "said", SAID, "{}")],
        [f"{VALIDATED}::test_marks_that_carriers_set_and_clear_say_the_number"],
    ),
    Mutant(
        "late-collmods-stay",
        "a validator that a late collMod has changed stays so",
        [Swap(f"{SIDES}/watching.py", "Watch._turn", "await self._doubt(link, found)", "None")],
        [f"{VALIDATED}::test_a_collmod_of_unknown_outcome_costs_its_number_and_one_that_comes_late_is_corrected"],
    ),
    Mutant(
        "validators-left-behind",
        "a validator that could not be taken away is not found again, and keeps everybody out",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "GatesInMongoDB.validated",
                "name in ours or gates.get(name, NEVER).validated",
                "gates.get(name, NEVER).validated",
            )
        ],
        [f"{VALIDATED}::test_a_validator_that_could_not_be_taken_away_is_found_again"],
    ),
    Mutant(
        "closed-for-ever",
        "a worker closes a gate whose validator it may not change",
        [Swap(f"{SIDES}/watching.py", "Watch._doubt", "if not await self._may_change(name): ...", "if False: ...")],
        [f"{VALIDATED}::test_a_worker_without_the_right_closes_no_gate_that_it_could_not_open"],
    ),
    Mutant(
        "validators-before-all-can-read-them",
        "a validator begins while a process runs that cannot read a gate with one",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "GatesInMongoDB._may_be_shut",
                "all(one.knows_validators for one in self._mongodb.processes())",
                "True",
            )
        ],
        [f"{VALIDATED}::test_no_validator_begins_while_a_process_runs_that_could_not_read_its_gate"],
    ),
    Mutant(
        "reopened-under-a-number-not-noted",
        "MongoDB is opened without PostgreSQL, and its validator admits the closing's number",
        [Swap(f"{SIDES}/gates_in_mongodb.py", "GatesInMongoDB.reopen", "self._drawn(collection, change)", "0")],
        [f"{VALIDATED}::test_without_postgresql_it_is_opened_under_a_number_that_was_drawn_before"],
    ),
    Mutant(
        "refused-by-the-gate-is-parked",
        "what the validator refuses of the way back is parked, as if the document were wrong",
        [
            Swap(
                "syncline/engines/mongo/written_back.py",
                "DocumentTarget._put",
                "if any(map(is_refusal_of_gate, errors)): ...",
                "if False: ...",
            )
        ],
        [f"{VALIDATED}::test_the_way_back_is_turned_away_by_the_validator_and_parks_nothing"],
    ),
    Mutant(
        "strays-marked-whoever-serves",
        "what comes late is marked for the way back, though MongoDB was opened again",
        [Swap(f"{SIDES}/switching.sql", "mark", "AND mode = 'a'", "")],
        [f"{CHANGES_SIDES}::test_what_is_found_late_is_not_marked_once_postgresql_serves_no_more"],
    ),
    Mutant(
        "phases-of-a-standby",
        "phases are read at a standby, as they were a while ago",
        [
            Swap(
                "syncline/phases/in_postgresql.py",
                "InPostgreSQL._require_primary",
                'session.info.parameter_status("in_hot_standby") == "on"',
                "False",
            )
        ],
        [f"{TESTS}/test_phase_standby.py::{OF_SEVERAL}"],
    ),
    Mutant(
        "the-first-of-several-servers",
        "of several servers the first that answers is taken, a standby, too",
        [Swap("syncline/config/urls.py", "of_primary", '"," not in hosts or "target_session_attrs" in given', "True")],
        [f"{TESTS}/test_phase_standby.py::{OF_SEVERAL}"],
    ),
    Mutant(
        "written-and-called-refused",
        "an update of a repository that is written, and cannot be read back, ends with an error that says that nothing is",
        [Swap("syncline/phases/repositories/dual.py", "DualWrites.update", "if not fields: ...", "if True: ...")],
        [f"{READ_BACK}::test_an_update_that_is_written_and_cannot_be_read_back_is_not_called_refused"],
    ),
    Mutant(
        "reopened-after-the-announcement",
        "MongoDB is opened again though PostgreSQL may have been",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "_require_reopenable",
                "if gate.announced or _in_postgresql(document, collection): ...",
                "if False: ...",
            )
        ],
        [f"{REOPENED}::test_after_the_announcement_only_postgresql_knows_and_nobody_is_let_in"],
    ),
    Mutant(
        "reopened-whatever-was-announced",
        "MongoDB is opened again while readers may go by another side",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "_require_reopenable",
                "gate.announced or _in_postgresql(document, collection)",
                "_in_postgresql(document, collection)",
            )
        ],
        [f"{REOPENED}::test_what_a_way_back_has_announced_is_not_opened_either"],
    ),
    Mutant(
        "reopened-without-a-word",
        "a coordinator of before goes on when MongoDB was opened again",
        [
            Swap(
                f"{SIDES}/gates_in_mongodb.py",
                "GatesInMongoDB.reopen",
                '_switch(before, collection) | {"number": number}',
                "_switch(before, collection)",
            )
        ],
        [f"{REOPENED}::test_a_coordinator_that_was_frozen_meanwhile_opens_nothing"],
    ),
    Mutant(
        "reopened-under-the-next-number",
        "MongoDB is opened again under a number that a coordinator may have",
        [Swap(f"{SIDES}/gates_in_mongodb.py", "", "1 << 20", "1")],
        [f"{REOPENED}::test_the_number_is_none_of_a_coordinator_that_mongodb_has_not_heard_of"],
    ),
    Mutant(
        "reopened-and-finished",
        "what was given up is done all the same when PostgreSQL is back",
        [Swap(f"{SIDES}/watching.py", "Watch._finished", "if left.reopened: ...", "if False: ...")],
        [f"{REOPENED}::test_before_the_announcement_mongodb_serves_again_and_nothing_is_lost"],
    ),
    Mutant(
        "phases-tombstones-go-at-once",
        "an application's tombstone does not wait for late writes of the way back",
        [Swap(f"{MONGO}/clearing.py", "_removing", '{"$not": {"$gt": settled}}', '{"$not": {"$lt": 0}}')],
        [f"{TOMBSTONES}::test_a_late_write_of_the_way_back_does_not_insert_what_was_deleted_since"],
    ),
    Mutant(
        "phases-tombstones-are-swept-early",
        "a tombstone that stays is removed whatever its age",
        [
            Swap(
                f"{MONGO}/clearing.py",
                "Clearing.remove",
                '{"$lt": [f"${VERSION}", {"$subtract": [{"$toLong": "$$NOW"}, int(self._grace.total_seconds() * 1000)]}]}',
                "True",
            )
        ],
        [f"{TOMBSTONES}::test_a_late_write_of_the_way_back_does_not_insert_what_was_deleted_since"],
    ),
    Mutant(
        "phases-tombstones-hold-up-drains",
        "a tombstone that stays keeps its mark",
        [Swap(f"{MONGO}/clearing.py", "Clearing._clear", "done.deleted_count < sum(map(len, gone))", "False")],
        [f"{TOMBSTONES}::test_a_late_write_of_the_way_back_does_not_insert_what_was_deleted_since"],
    ),
    Mutant(
        "phases-a-walk-over-two-numbers",
        "a walk goes on by the gate that was open when it began, though sides have changed and changed back",
        [Swap("syncline/relay/documents/pump.py", "DocumentPump._walked", "ahead.number == number", "True")],
        ["tests/unit/test_document_pump_numbers.py::test_under_another_number_what_is_left_is_read_by_another_walk"],
    ),
    Mutant(
        "phases-old-numbers-between",
        "a document that comes under an older number while a walk begins is carried under it",
        [Swap(f"{MONGO}/marked.py", "MongoMarkedDocuments.pages", '{**_MARKED, NUMBER: {"$gte": opened}}', "_MARKED")],
        [
            f"{CHANGES_SIDES}::test_a_document_that_comes_under_an_older_number_while_a_walk_begins_waits_for_the_next_one"
        ],
    ),
    Mutant(
        "phases-old-verification",
        "a verification from before the phase counts as evidence",
        [
            Swap(
                "syncline/phases/evidence.py",
                "_verified",
                "standing.since is not None and moment < standing.since",
                "False",
            )
        ],
        [f"{IN_PHASES}::test_a_ramp_begins_with_evidence"],
    ),
    Mutant(
        "phases-bucket-by-process",
        "a key's bucket is another one in each process",
        [
            Swap(
                "syncline/phases/phase.py",
                "bucket",
                "int.from_bytes(digest[:8], 'big') % BUCKETS",
                "hash(digest) % BUCKETS",
            )
        ],
        ["tests/unit/test_phase.py::test_a_key_has_one_bucket_whatever_is_asked_about_and_after_a_restart"],
    ),
    Mutant(
        "rows-narrow-is-wide",
        "a type that rounds passes for one that holds every value",
        [
            Swap(
                f"{POSTGRES}/documents/differences.py",
                "_limited",
                'return live.precision is not None or "(" in live.type',
                "return False",
            )
        ],
        [f"{TESTS}/test_schema_commands.py::test_each_thing_that_is_wrong_is_said_with_the_statement_that_mends_it"],
    ),
    Mutant(
        "changes-any-mark-is-trusted",
        "a document that is written back as it was read, with its mark of then, counts as marked",
        [Swap(f"{MONGO}/changes.py", "_updated", "VERSION in changed", "True")],
        [f"{CHANGES}::test_an_event_is_judged_by_who_wrote_it"],
    ),
    Mutant(
        "changes-removals-echo",
        "the removal of a tombstone that PostgreSQL has is taken for somebody's delete",
        [Swap("syncline/documents/watching.py", "Watcher._unknown", "versions.get(_key(id_), 0) < version", "True")],
        [f"{CHANGES}::test_what_is_written_past_the_wrapper_reaches_the_rows_and_nothing_echoes"],
    ),
    Mutant(
        "changes-a-revived-tombstone-is-remembered",
        "a document that was made again counts as a tombstone, and its delete as a carrier's",
        [Swap("syncline/documents/watching.py", "Watcher._mark", "if one.live: ...", "if False: ...")],
        [f"{CHANGES}::test_a_deleted_record_that_was_made_again_and_is_deleted_past_the_wrapper_has_no_row"],
    ),
    Mutant(
        "changes-a-lost-token-starts-over",
        "after a lost token the reader goes on from now, and marks nothing",
        [
            Swap(
                "syncline/documents/watching.py",
                "Watcher._begin_anew",
                "await restored(self._link.source, self._link.rows, self._link.collections)",
                "pass",
            )
        ],
        [f"{CHANGES}::test_a_lost_token_has_everything_marked_under_a_new_number_and_rows_without_documents_deleted"],
    ),
    Mutant(
        "changes-a-replacement-s-mark-is-believed",
        "a replacement that took our field along counts as marked",
        [
            Swap(
                "syncline/engines/mongo/changes.py",
                "_whole",
                '"mark" in ours and not replaced',
                '"mark" in ours or replaced',
            )
        ],
        [f"{CHANGES}::test_an_event_is_judged_by_who_wrote_it"],
    ),
    Mutant(
        "documents-races-are-errors",
        "an upsert that another one has overtaken is a duplicate",
        [Swap(f"{DOCUMENTS}/obstacles.py", "obstacle", "filter_ is not None and asks_for(filter_, index)", "False")],
        [f"{MARKED}::test_an_upsert_that_another_one_has_overtaken_is_tried_again_as_the_server_does"],
    ),
    Mutant(
        "documents-cleared-unasked",
        "a mark is cleared, whichever it is by now",
        [
            Swap(
                f"{MONGO}/clearing.py",
                "still",
                '{"_id": {"$eq": document.id}, MARK: ObjectId(document.mark)}',
                '{"_id": {"$eq": document.id}}',
            )
        ],
        [f"{PUMP}::test_a_mark_that_came_after_the_reading_is_not_cleared"],
    ),
    Mutant(
        "documents-cleared-together-unasked",
        "of documents that are cleared together each mark is taken for each one's",
        [
            Swap(
                f"{MONGO}/clearing.py",
                "_those",
                '{"$eq": [f"${MARK}", read]}',
                '{"$in": [f"${MARK}", {"$literal": marks}]}',
            )
        ],
        [f"{PUMP}::test_a_mark_that_came_after_the_reading_is_not_cleared"],
    ),
    Mutant(
        "documents-any-version-is-written",
        "a late state is written over a newer one",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.sql",
                "take",
                "WHERE k.version < excluded.version",
                "WHERE k.version IS NOT NULL",
            )
        ],
        [f"{PUMP}::test_a_late_carrier_brings_back_nothing"],
    ),
    Mutant(
        "documents-an-equal-version-is-applied",
        "an equal version of another write counts as applied",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.py",
                "_judged",
                "mark == one.mark",
                "mark == one.mark or version == one.version",
            )
        ],
        [f"{PUMP}::test_a_version_that_came_back_is_raised_and_not_taken_for_done"],
    ),
    Mutant(
        "documents-any-number-of-the-link",
        "what was read before a restore is written after it",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.py",
                "VersionedRows._written",
                "entered(tables, await said.fetchone()) != number",
                "False",
            )
        ],
        [f"{PUMP}::test_under_another_number_of_the_link_nothing_is_written"],
    ),
    Mutant(
        "documents-written-under-any-declaration",
        "who has an old declaration of a collection still writes",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/rows.py",
                "entered",
                "fingerprint != tables.mapping.fingerprint",
                "False",
            )
        ],
        [f"{PUMP}::test_a_changed_declaration_is_refused_until_it_is_taken_over_and_loses_nothing"],
    ),
    Mutant(
        "documents-rows-of-another-declaration",
        "rows of an old declaration are read back under the new one",
        [Swap(f"{ROWS_OF_DOCUMENTS}/rows.py", "DocumentTables._require_own_rows", "if another: ...", "if False: ...")],
        [f"{PUMP}::test_a_changed_declaration_is_refused_until_it_is_taken_over_and_loses_nothing"],
    ),
    Mutant(
        "documents-never-raised",
        "a refused document keeps its version",
        [
            Swap(
                "syncline/relay/documents/carrying.py",
                "Carrier.settle",
                "await self._source.raise_above(collection, [one for one in outcomes if one.fate is Fate.REFUSED])",
                "pass",
            )
        ],
        [f"{PUMP}::test_a_version_that_came_back_is_raised_and_not_taken_for_done"],
    ),
    Mutant(
        "documents-attempts-without-end",
        "what was given up is tried again",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/rejections.py",
                "Rejections._given",
                "self._retries.attempts or _ENDLESS",
                "_ENDLESS",
            )
        ],
        [f"{INLINE}::test_attempts_bound_rejections_and_the_older_row_says_so"],
    ),
    Mutant(
        "dual-write-at-once-under-any-number",
        "what is written in one round trip is not compared with the link's number",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.sql",
                "take_all",
                "(SELECT l.number FROM syncline_documents.link AS l) = %(number)s",
                "(SELECT l.number FROM syncline_documents.link AS l) <> %(number)s + 99",
            )
        ],
        [f"{INLINE}::test_under_an_old_number_nothing_is_written_and_the_next_call_has_the_new_one"],
    ),
    Mutant(
        "dual-write-at-once-over-newer-rows",
        "what is written in one round trip has its rows written though its version was not taken",
        [Swap(f"{ROWS_OF_DOCUMENTS}/versions.sql", "take_all", "= cardinality(%(ids)s::text[])", "IS NOT NULL")],
        [f"{INLINE}::test_in_one_round_trip_a_late_state_is_not_written_over_a_newer_one"],
    ),
    Mutant(
        "dual-write-at-once-over-newer-versions",
        "what is written in one round trip takes a lower version",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.sql",
                "take_all",
                "WHERE k.version < excluded.version",
                "WHERE k.version IS NOT NULL",
            )
        ],
        [f"{INLINE}::test_in_one_round_trip_a_late_state_is_not_written_over_a_newer_one"],
    ),
    Mutant(
        "dual-write-at-once-over-what-was-just-committed",
        "what is there already is looked for as it was before a newer write that was waited for",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.sql",
                "take_all",
                "OR (k.version = excluded.version AND k.mark = excluded.mark)",
                "",
            ),
            Swap(
                f"{ROWS_OF_DOCUMENTS}/versions.sql",
                "take_all",
                "(SELECT count(*) FROM took) =",
                """(SELECT count(*) FROM took)
                    + (SELECT count(*) FROM unnest(%(ids)s::text[], %(versions)s::bigint[]) AS u (id, version)
                       JOIN syncline_documents.key_version AS k
                         ON k.collection = %(collection)s AND k.mongo_id = u.id AND k.version = u.version) =""",
            ),
        ],
        [f"{INLINE}::test_in_one_round_trip_what_is_overtaken_while_it_waits_is_not_written"],
    ),
    Mutant(
        "audit-without-an-intent",
        "an operation is done that was not written down before",
        [
            Swap(
                "syncline/phases/dual_write/audit.py",
                "AuditedWrites._over_what_was_read",
                "await self._log.begin([_intent(collection, write, rule, over)])",
                "pass",
            )
        ],
        [f"{AUDIT}::test_20_kills_lose_no_operation_and_leave_none_open"],
    ),
    Mutant(
        "audit-left-without-an-intent",
        "an operation that is left to the worker is done, and was not written down",
        [
            Swap(
                f"{MONGO}/document_writes.py",
                "MongoDocumentWrites.write_behind",
                '{"insert": 0, "document": first.document}',
                '{"delete": 0, "filter": {"_id": 0}}',
            )
        ],
        [f"{AUDIT}::test_each_operation_is_there_with_who_what_and_what_became_of_it"],
    ),
    Mutant(
        "documents-cleared-by-an-older-mark",
        "of a document that was read twice the older mark is looked for, which it has no more",
        [Swap(f"{MONGO}/clearing.py", "Clearing._clear", "one.version", "-one.version")],
        [f"{INLINE}::test_of_a_document_that_was_read_twice_the_mark_goes_that_it_has"],
    ),
    Mutant(
        "audit-noted-cleared-unread",
        "a mark goes with what is noted beside it, and whoever clears it has not read that",
        [Swap(f"{MONGO}/clearing.py", "_those", '{LOG: {"$exists": False}}', "{}")],
        [f"{NOTED}::test_who_has_not_read_what_is_noted_leaves_the_mark"],
    ),
    Mutant(
        "audit-noted-not-entered",
        "who clears a mark does not write down what is noted beside it",
        [Swap("syncline/relay/documents/carrying.py", "Carrier._tell", "await log.enter(collection, noted)", "pass")],
        [f"{NOTED}::test_who_clears_a_mark_writes_down_what_is_noted"],
    ),
    Mutant(
        "audit-noted-dropped-by-a-replacement",
        "a document that is replaced loses what was noted in it",
        [Swap("syncline/capture/documents/updates.py", "replacement", "drawn(mark=mark) | LOGGED", "drawn(mark=mark)")],
        [f"{NOTED}::test_whoever_writes_over_it_keeps_what_is_noted"],
    ),
    Mutant(
        "audit-noted-dropped-by-a-tombstone",
        "a document that is deleted loses what was noted in it",
        [
            Swap(
                "syncline/capture/documents/updates.py",
                "tombstone",
                "drawn(deleted=True, mark=mark) | LOGGED",
                "drawn(deleted=True, mark=mark)",
            )
        ],
        [f"{NOTED}::test_whoever_writes_over_it_keeps_what_is_noted"],
    ),
    Mutant(
        "audit-noted-dropped-by-a-merge",
        "a document that is written again loses what was noted in it",
        [Swap("syncline/capture/documents/updates.py", "merged", "drawn(mark=mark) | LOGGED", "drawn(mark=mark)")],
        [f"{NOTED}::test_whoever_writes_over_it_keeps_what_is_noted"],
    ),
    Mutant(
        "audit-noted-taken-out-before-the-log-has-it",
        "a process takes out of a document what it has not written down",
        [
            Swap(
                "syncline/phases/dual_write/audit.py",
                "AuditedWrites._tell_some",
                "await self._log.enter(collection, some)",
                "pass",
            )
        ],
        [f"{NOTED}::test_a_process_takes_out_its_own_and_no_other"],
    ),
    Mutant(
        "audit-noted-of-others-taken-out",
        "a process takes out of a document what others have noted",
        [Swap(f"{MONGO}/noted.py", "taken_out", '{"$not": [{"$in": ["$$this.id", marks]}]}', "False")],
        [f"{NOTED}::test_a_process_takes_out_its_own_and_no_other"],
    ),
    Mutant(
        "audit-noted-without-bound",
        "what is noted in a document grows without end",
        [Swap(f"{MONGO}/document_writes.py", "_noting", "ROOM", "True")],
        [f"{NOTED}::test_a_document_that_is_full_is_written_after_the_log"],
    ),
    Mutant(
        "dual-write-over-a-tombstone",
        "an update or a delete of what is a tombstone by now writes over it",
        [Swap(f"{MONGO}/document_writes.py", "single", "only_if(IS_LIVE, update)", "update")],
        [f"{NOTED}::test_what_is_no_document_any_more_is_left_as_it_is"],
    ),
    Mutant(
        "dual-write-noted-over-a-tombstone",
        "an update that is noted writes over a tombstone",
        [Swap(f"{MONGO}/document_writes.py", "_noting", "IS_LIVE", "True")],
        [f"{NOTED}::test_what_is_no_document_any_more_is_left_as_it_is"],
    ),
    Mutant(
        "dual-write-found-is-written",
        "a document that was found, and not written, counts as written",
        [
            Swap(
                f"{MONGO}/document_writes.py",
                "_ours",
                "found is None or ObjectId(write.mark).binary not in found",
                "found is None",
            )
        ],
        [f"{NOTED}::test_what_is_no_document_any_more_is_left_as_it_is"],
    ),
    Mutant(
        "gate-counts-what-was-not-written",
        "an update that finds no document counts as a write: its unit is not run again on the other side",
        [Swap("syncline/capture/documents/gate.py", "passing", "if passage.wrote: ...", "if True: ...")],
        ["tests/unit/test_write_gate.py::test_what_has_certainly_written_nothing_is_no_write_of_its_unit"],
    ),
    Mutant(
        "audit-noted-erased",
        "a document is erased with what was noted in it",
        [Swap(f"{MONGO}/document_writes.py", "MongoDocumentWrites.erase", '{"$exists": False}', '{"$ne": 0}')],
        [f"{NOTED}::test_an_erasure_writes_down_what_is_noted_first"],
    ),
    Mutant(
        "audit-noted-forgotten-when-it-is-not-carried",
        "an update that PostgreSQL lacks stands in its document alone",
        [
            Swap(
                "syncline/phases/dual_write/service.py",
                "AsyncDualWriteService._done",
                "parts.audited.enter(one.collection, document)",
                "pass",
            )
        ],
        [f"{NOTED}::test_an_update_is_one_write_and_in_the_log_soon_after"],
    ),
    Mutant(
        "audit-before-of-somebody-else",
        "a document is written over that is no longer the one that was read",
        [
            Swap(
                "syncline/phases/dual_write/audit.py",
                "AuditedWrites._over_what_was_read",
                "replace(write, over=over.version if over else None)",
                "write",
            )
        ],
        [f"{AUDIT}::test_values_are_kept_where_they_are_declared_but_for_those_that_are_masked"],
    ),
    Mutant(
        "audit-writes-over-what-was-not-there",
        "a document that was not there when it was read is written over without a condition",
        [
            Swap(
                "syncline/phases/dual_write/audit.py",
                "AuditedWrites._over_what_was_read",
                "over is None and rule.values and write.action is not Action.CREATE",
                "False",
            )
        ],
        [f"{AUDIT}::test_what_was_not_there_when_it_was_read_is_not_written_over"],
    ),
    Mutant(
        "audit-erasure-taken-for-not-done",
        "a delete that left nothing behind is said not to have been done",
        [
            Swap(
                "syncline/documents/settling.py",
                "concluded",
                "intent.action is Action.DELETE and standing is None",
                "False",
            )
        ],
        [f"{AUDIT}::test_a_delete_of_which_nothing_is_left_is_not_said_not_to_be_done"],
    ),
    Mutant(
        "audit-done-is-overruled",
        "who concludes overrules who has done it",
        [Swap(f"{MONGO}/intents.py", "MongoIntentLog.end", '{"$nin": _SURE}', '{"$exists": True}')],
        [f"{AUDIT}::test_who_finds_a_mark_says_that_its_operation_was_done"],
    ),
    Mutant(
        "audit-overwritten-taken-for-not-done",
        "an operation that somebody has written over since is said not to have been done",
        [Swap("syncline/documents/settling.py", "concluded", "newest < intent.at_version", "True")],
        [f"{AUDIT}::test_marks_prove_and_versions_exclude"],
    ),
    Mutant(
        "dual-write-asks-a-dead-postgresql",
        "the circuit stays closed after the deadline",
        [Swap("syncline/phases/dual_write/inline.py", "InlinePart._lost", "self._number = None", "pass")],
        [f"{INLINE}::test_a_late_postgresql_costs_the_deadline_once_and_what_was_begun_goes_on"],
    ),
    Mutant(
        "dual-write-carried-by-nobody",
        "while PostgreSQL is down, an update is written as one that is carried in its call",
        [
            Swap(
                "syncline/phases/dual_write/service.py",
                "AsyncDualWriteService._done",
                "parts.inline is not None and not parts.inline.is_open",
                "parts.inline is not None",
            )
        ],
        [f"{NOTED}::test_while_postgresql_is_down_an_update_is_one_command_and_asks_it_for_nothing"],
    ),
    Mutant(
        "dual-write-asks-while-it-is-down",
        "while PostgreSQL is down, each call asks it all the same",
        [
            Swap(
                "syncline/phases/dual_write/inline.py",
                "InlinePart.begin",
                "not self._looked.is_set()",
                "self._number is None and self._ask('', ())",
            )
        ],
        [f"{NOTED}::test_while_postgresql_is_down_an_update_is_one_command_and_asks_it_for_nothing"],
    ),
    Mutant(
        "dual-write-older-of-one-key",
        "of writes of one key together the first is carried",
        [
            Swap(
                "syncline/phases/dual_write/inline.py",
                "InlinePart._done",
                "sorted(documents, key=lambda one: one.version)",
                "sorted(documents, key=lambda one: -one.version)",
            )
        ],
        [f"{INLINE}::test_writes_of_one_key_together_end_with_the_last"],
    ),
    Mutant(
        "dual-write-later-number",
        "a call's documents are written under the number that another call has read since",
        [Swap("syncline/phases/dual_write/inline.py", "InlinePart._done", "jobs[0].number", "self._number")],
        [f"{INLINE}::test_what_was_deleted_and_forgotten_since_does_not_come_back_under_a_later_number"],
    ),
    Mutant(
        "phases-read-at-a-secondary",
        "a process reads the phases and gates where the URL says, at a secondary that is behind",
        [Swap("syncline/phases/in_mongodb.py", "InMongoDB._open", "ReadPreference.PRIMARY", "None")],
        [f"{IN_PHASES}::test_the_phases_are_read_at_the_primary_whatever_the_url_says"],
    ),
    Mutant(
        "phases-leaves-with-a-lease",
        "a process that has left still takes its writes for admitted",
        [Swap("syncline/phases/journal_phases.py", "JournalPhases._follow", "self._until.pop(name, None)", "None")],
        [f"{IN_PHASES}::test_a_process_that_leaves_goes_by_nothing_any_more_before_it_says_so"],
    ),
    Mutant(
        "declaration-changes-in-live",
        "every document is to be written anew where rows are the truth, and no row comes back any more",
        [
            Swap(
                "syncline/documents/installing.py",
                "_served_elsewhere",
                "there[name].mode != gates.APPLICATION",
                "False",
            )
        ],
        [f"{CHANGES_SIDES}::test_a_declaration_does_not_change_while_postgresql_serves_unless_it_is_said_what_it_was"],
    ),
    Mutant(
        "declaration-changes-under-writers",
        "a write by the declaration that was is there after the rows were written anew",
        [
            Swap(
                "syncline/phases/repositories/postgres.py",
                "PostgresRepository._locked",
                "if rows and declared: ...",
                "if False: ...",
            )
        ],
        [f"{CHANGES_SIDES}::test_who_waits_to_write_as_a_declaration_changes_is_refused"],
    ),
    Mutant(
        "declaration-changes-beside-writers",
        "rows are written anew while others write them",
        [
            Swap(
                "syncline/engines/postgres/documents/remapping.py",
                "Remapping._hold",
                '"/* syncline */ LOCK TABLE {} IN EXCLUSIVE MODE"',
                '"/* syncline */ LOCK TABLE {} IN ACCESS SHARE MODE"',
            )
        ],
        [f"{CHANGES_SIDES}::test_who_waits_to_write_as_a_declaration_changes_is_refused"],
    ),
    Mutant(
        "declaration-of-the-way-back",
        "a worker of the declaration that was composes documents of rows of another one",
        [
            Swap(
                "syncline/engines/postgres/documents/rows.py",
                "DocumentTables._require_own_rows",
                "self.require_own(fingerprint)",
                "pass",
            )
        ],
        [f"{CHANGES_SIDES}::test_rows_are_of_one_declaration_for_the_way_back"],
    ),
    Mutant(
        "phases-part-of-many-is-told-late",
        "of many writes those are told as written that came after the gate was closed",
        [
            Swap(
                "syncline/capture/documents/gate.py",
                "passing",
                "_require_held(gate, collection, number, error)",
                "None",
            )
        ],
        ["tests/unit/test_write_gate.py::test_what_was_written_of_many_is_told_only_if_the_gate_still_holds"],
    ),
    Mutant(
        "phases-unit-is-written-twice",
        "a unit that has written MongoDB is run again on the other side",
        [Swap("syncline/phases/switching/running.py", "_Attempts.after", "if unit.writes: ...", "if False: ...")],
        ["tests/unit/test_write_gate.py::test_a_unit_of_which_something_is_written_is_not_run_again"],
    ),
    Mutant(
        "phases-unit-forgets-inner-writes",
        "what a unit within a unit has written does not count",
        [Swap("syncline/capture/documents/gate.py", "Unit.passed", "if self.outer is not None: ...", "if False: ...")],
        ["tests/unit/test_write_gate.py::test_a_unit_counts_what_units_within_it_have_written"],
    ),
    Mutant(
        "repair-writes-the-backup",
        "a repair marks and buries in a MongoDB that is a backup",
        [
            Swap("syncline/documents/repairing.py", "DocumentRepairer.take", "name not in complete", "True"),
        ],
        ["tests/integration/test_phase_complete.py::test_a_repair_leaves_the_backup_as_it_is"],
    ),
    Mutant(
        "phases-lease-outlasts-sleep",
        "a machine that sleeps does not count the time of its lease",
        [
            Swap(
                "syncline/phases/journal_phases.py",
                "JournalPhases.holds",
                "boottime() < until",
                "time.monotonic() < until",
            )
        ],
        [f"{IN_PHASES}::test_a_lease_runs_out_while_the_machine_sleeps"],
    ),
    Mutant(
        "dual-write-unheard-is-refused",
        "a write that a majority lacks yet is called refused, as if it were not there",
        [
            Swap(
                f"{MONGO}/document_writes.py",
                "_of_documents",
                "if isinstance(error, OperationFailure) and _may_be_written(error): ...",
                "if False: ...",
            )
        ],
        [f"{INLINE}::test_a_write_that_a_majority_may_lack_is_not_said_to_be_refused"],
    ),
    Mutant(
        "documents-walked-by-mark",
        "of many documents with one mark only a batch is carried",
        [
            Swap(
                f"{MONGO}/marked.py",
                "MongoMarkedDocuments.pages",
                "marked.sort(MARK, 1)",
                "marked.sort(MARK, 1).limit(size)",
            )
        ],
        [f"{PUMP}::test_more_documents_of_one_mark_than_a_batch_are_all_carried_in_one_walk"],
    ),
    Mutant(
        "documents-low-versions-are-carried",
        "a version that no clock has given goes to the other side",
        [Swap(f"{MONGO}/marked.py", "MongoMarkedDocuments._drawn", "one.version < FLOOR", "False")],
        [f"{PUMP}::test_a_low_version_is_drawn_before_it_is_carried"],
    ),
    Mutant(
        "back-over-higher-tickets",
        "the way back writes over what a newer one has written",
        [
            Swap(
                f"{MONGO}/written_back.py",
                "_Written.update",
                '{"$lt": [{"$ifNull": [f"${TICKET}", -1]}, self.state.ticket]}',
                '{"$lt": [-1, self.state.ticket]}',
            )
        ],
        [f"{BACK}::test_a_late_write_of_an_older_ticket_changes_nothing"],
    ),
    Mutant(
        "back-over-higher-numbers",
        "the way back writes over what was written after MongoDB was opened again",
        [
            Swap(
                f"{MONGO}/written_back.py",
                "_Written.update",
                '{"$lte": [{"$ifNull": [f"${NUMBER}", 0]}, self.number]}',
                '{"$lte": [0, self.number]}',
            )
        ],
        [f"{BACK}::test_a_document_that_was_written_under_a_higher_number_is_not_written_over"],
    ),
    Mutant(
        "back-deletes-at-once",
        "a row that is gone leaves no tombstone on the way back",
        [
            Swap(
                f"{MONGO}/written_back.py",
                "DocumentTarget._delete",
                "await self._put(collection, [_Written(state, number) for state in tombstones], report)",
                'await collection.delete_many({"_id": {"$in": [state.id for state in tombstones]}})',
            )
        ],
        [f"{BACK}::test_a_row_that_comes_again_after_a_delete_is_there"],
    ),
    Mutant(
        "back-removes-young-tombstones",
        "a tombstone goes while an older write may be under way",
        [
            Swap(
                f"{MONGO}/written_back.py",
                "DocumentTarget._remove",
                '{DELETED: True, NUMBER: number, "$expr": past}',
                "{DELETED: True, NUMBER: number}",
            )
        ],
        [f"{BACK}::test_a_young_tombstone_stays"],
    ),
    Mutant(
        "second-deletes-wait-at-the-gate",
        "a worker that a closing has turned back tries nothing before the gate lets links in again",
        [
            Swap(
                "syncline/relay/recovery.py",
                "Recovery._ask_gate",
                "not lets_in and time.monotonic() > self._tried + TRY_PAUSE.total_seconds()",
                "False",
            )
        ],
        [f"{BACK}::test_a_worker_that_waits_at_the_gate_does_second_deletes_that_come_due_meanwhile"],
    ),
    Mutant(
        "second-deletes-of-what-is-there-wait",
        "a second delete of a key whose row is there again waits for the gate, for ever",
        [Swap("syncline/engines/mongo/written_back.py", "DocumentTarget.apply", "one.key not in batch.again", "True")],
        [f"{BACK}::test_a_worker_that_waits_at_the_gate_does_second_deletes_that_come_due_meanwhile"],
    ),
    Mutant(
        "live-rows-are-settled-unlocked",
        "a row says SYNCED though a write that is under way has not been marked yet",
        [
            Swap(
                "syncline/engines/postgres/documents/row_states.py",
                "RowStates._settled",
                'await self._keys(connection, "lock", keys=keys)',
                "keys",
            ),
        ],
        [f"{IN_LIVE}::test_a_write_that_is_under_way_as_its_row_is_settled_stays_pending"],
    ),
    Mutant(
        "live-rows-that-wait-are-settled",
        "a row says SYNCED though it has a mark",
        [
            Swap(
                "syncline/engines/postgres/documents/row_states.sql",
                "settle",
                "(s.error IS NOT NULL OR NOT s.waits)",
                "true",
            )
        ],
        [f"{IN_LIVE}::test_a_write_that_is_under_way_as_its_row_is_settled_stays_pending"],
    ),
    Mutant(
        "live-rows-of-a-killed-worker-wait",
        "what a killed worker has acknowledged and not said stays PENDING",
        [Swap("syncline/phases/settling.py", "Settling.__init__", "{*states}", "set()")],
        [f"{IN_LIVE}::test_rows_that_a_killed_worker_has_left_are_settled_by_the_next_one"],
    ),
    Mutant(
        "live-rows-forget-rejections",
        "a row whose document was rejected on the way forward says SYNCED as the way back ends",
        [
            Swap(
                "syncline/engines/postgres/documents/row_states.sql",
                "settle",
                """NOT EXISTS (SELECT FROM syncline_documents.rejected AS r
                          WHERE r.collection = %(collection)s AND r.key = u.key)""",
                "true",
            )
        ],
        [f"{IN_LIVE}::test_rows_whose_documents_were_rejected_on_the_way_forward_still_say_so"],
    ),
    Mutant(
        "phases-closing-waits-for-no-write",
        "a process notes a closing while writes that have passed the gate are under way",
        [
            Swap(
                "syncline/phases/under_way.py",
                "UnderWay.let_end",
                "any(self._counts[name, one.number] for name, one in over)",
                "False",
            )
        ],
        ["tests/unit/test_write_gate.py::test_a_closing_waits_for_writes_that_have_passed_and_lets_no_new_one_pass"],
    ),
    Mutant(
        "phases-closing-is-noted-at-once",
        "a process notes a closing without looking at what is under way",
        [Swap("syncline/phases/journal_phases.py", "JournalPhases._turn", "self._under_way.let_end()", "pass")],
        [f"{TESTS}/test_phase_switch.py::test_a_closing_waits_for_a_write_that_is_under_way"],
    ),
    Mutant(
        "phases-acknowledged-after-closing-is-noted",
        "a write is acknowledged by what was known before a closing, after the process has noted the closing",
        [Swap("syncline/phases/under_way.py", "UnderWay.let_end", "self._over = {}", "pass")],
        ["tests/unit/test_write_gate.py::test_what_takes_longer_than_a_closing_waits_is_of_unknown_outcome"],
    ),
    Mutant(
        "phases-acknowledged-past-the-lease",
        "a write is acknowledged by what was known before a closing, after its lease",
        [Swap("syncline/phases/under_way.py", "UnderWay.holds", "boottime() < over.until", "True")],
        ["tests/unit/test_write_gate.py::test_what_was_known_before_a_closing_holds_no_longer_than_its_lease"],
    ),
    Mutant(
        "continuous-verifies-backups",
        "workers compare the backup of a collection in complete with the rows of now",
        [
            Swap(
                "syncline/documents/continuous.py",
                "_look",
                "await rounds.unmarked() | copied | await backups(link)",
                "await rounds.unmarked() | copied",
            )
        ],
        [f"{TESTS}/test_document_verify_goes_on.py::test_a_backup_is_not_verified_by_workers"],
    ),
    Mutant(
        "batch-cut-off-tells-nothing",
        "a batch that is cut off raises, and what was done is not told",
        [
            Swap(
                "syncline/phases/dual_write/enhanced.py",
                "AsyncEnhancedDualWriteService.batch_operations",
                "if not told: ...",
                "if True: ...",
            )
        ],
        [f"{TESTS}/test_dual_write_service.py::test_a_batch_that_is_cut_off_tells_what_was_done"],
    ),
    Mutant(
        "documents-rest-and-are-looked-at",
        "what rests is looked for under a new number of the link and an old one of the gate",
        [
            Swap(
                "syncline/relay/documents/following.py",
                "Follower._walk",
                "tally.more or tally.late or tally.rested",
                "tally.more or tally.late",
            )
        ],
        [f"{TESTS}/test_document_following.py::test_what_rests_is_not_looked_at_before_a_walk_has_asked_the_gate"],
    ),
    Mutant(
        "back-second-deletes-wait-at-the-gate",
        "a second delete that comes due after the way back waits until the link is let in again",
        [
            Swap(
                f"{MONGO}/written_back.py", "DocumentTarget.apply", "all(gone.again for gone in batch.deletes)", "False"
            )
        ],
        [f"{BACK}::test_a_second_delete_that_comes_due_after_the_way_back_is_done_and_waits_for_nobody"],
    ),
    Mutant(
        "back-captures-the-way-forward",
        "what the link forward writes is brought back",
        [Swap("syncline/engines/postgres/documents/versions.sql", "enter", "'documents'", "''")],
        [f"{BACK}::test_what_the_link_forward_writes_is_not_captured"],
    ),
    Mutant(
        "documents-copied-under-any-number",
        "what was read before a restore is copied after it",
        [Swap(f"{ROWS_OF_DOCUMENTS}/bulk.py", "BulkRows._entered", "entered(tables, row) == number", "True")],
        [f"{DOCUMENT_COPY}::test_what_was_read_before_a_new_number_of_the_link_is_not_written"],
    ),
    Mutant(
        "documents-copied-by-who-was-taken-over",
        "a copier that was taken over goes on",
        [Swap(f"{ROWS_OF_DOCUMENTS}/bulk.py", "_require", "row is None", "False")],
        [f"{DOCUMENT_COPY}::test_a_copier_that_was_taken_over_writes_nothing_more"],
    ),
    Mutant(
        "documents-copied-marks-cleared-too-early",
        "a mark is cleared of what a crash of PostgreSQL takes back",
        [Swap(f"{ROWS_OF_DOCUMENTS}/bulk.py", "BulkRows.write", "if not any(chunk.marks): ...", "if True: ...")],
        [f"{DOCUMENT_COPY}::test_a_mark_is_cleared_only_of_what_a_crash_cannot_take_back"],
    ),
    Mutant(
        "documents-copied-marks-stay",
        "the marks of documents that were copied are not cleared",
        [
            Swap(
                "syncline/documents/copying.py",
                "DocumentCopier._written",
                "await self._link.source.clear(collection, made.marked)",
                "None",
            )
        ],
        [f"{DOCUMENT_COPY}::test_documents_of_writers_who_know_of_no_mark_are_copied_and_end_settled"],
    ),
    Mutant(
        "documents-verified-while-marked",
        "a document that is on its way is different",
        [
            Swap(
                "syncline/documents/judging.py",
                "judged",
                "state is None or state[0] < FLOOR or state[1]",
                "state is None or state[0] < FLOOR",
            )
        ],
        [f"{DOCUMENT_VERIFY}::test_what_is_marked_waits_and_is_not_different_and_what_is_rejected_is_parked"],
    ),
    Mutant(
        "documents-verified-at-one-look",
        "what is carried between two readings is different",
        [Swap("syncline/documents/judging.py", "judged", "if moved: ...", "if False: ...")],
        [f"{DOCUMENT_VERIFY}::test_what_is_carried_between_two_readings_is_no_difference"],
    ),
    Mutant(
        "documents-wait-in-vain",
        "what another row is in the way of is given up",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/rejections.sql",
                "resting",
                "AND NOT (waits AND last_at + %(longest)s <= now())",
                "",
            )
        ],
        [f"{REFERENCES}::test_what_waits_for_another_row_is_tried_for_ever_and_what_is_wrong_itself_is_not"],
    ),
    Mutant(
        "documents-children-first",
        "what refers to others is copied before them",
        [
            Swap(
                "syncline/documents/copying.py",
                "DocumentCopier.run",
                "[name for name in parents_first(self._link.mappings) if name in collections]",
                "collections",
            )
        ],
        [f"{REFERENCES}::test_what_others_refer_to_is_copied_and_carried_before_them_and_nothing_is_given_up"],
    ),
    Mutant(
        "documents-lag-by-mark",
        "what has the mark of a rejected document is not waited for",
        [
            Swap(
                f"{MONGO}/waiting.py",
                "oldest",
                "(str(mark), shown_key(id_)) not in held",
                "str(mark) not in {one for one, _ in held}",
            )
        ],
        [
            f"{PUMP}::test_lag_is_that_of_what_waits_beside_a_rejected_document_of_the_same_mark_and_beside_what_others_wrote"
        ],
    ),
    Mutant(
        "documents-rest-by-mark",
        "a rejected document keeps back all that have its mark",
        [
            Swap(
                "syncline/engines/postgres/documents/rejections.py",
                "Rejections.due",
                "(one.mark, shown(one)) not in resting",
                "one.mark not in {mark for mark, _ in resting}",
            )
        ],
        [f"{PUMP}::test_a_rejected_document_keeps_none_back_that_has_the_same_mark"],
    ),
    Mutant(
        "documents-refused-by-mongodb-stop-all",
        "a document that MongoDB does not let us mark counts as a MongoDB that is away",
        [Swap(f"{MONGO}/marked.py", "_is_of_documents", "isinstance(error, WriteError)", "False")],
        [f"{DOCUMENT_TROUBLE}::test_a_document_that_cannot_be_marked_keeps_no_other_back"],
    ),
    Mutant(
        "documents-of-a-foreign-field-stop-all",
        "a document with a field of our name that is not ours keeps back its whole collection",
        [Swap(f"{MONGO}/marked.py", "_documents", "foreign = foreign or error", "raise")],
        [f"{PUMP}::test_a_field_that_somebody_else_wrote_holds_up_no_other_document"],
    ),
    Mutant(
        "documents-back-of-a-bad-row-stop-all",
        "a row that is of no document ends the way back",
        [Swap(f"{ROWS_OF_DOCUMENTS}/records.py", "_composed", "return error", "raise")],
        [f"{BACK}::test_rows_that_are_of_no_document_are_parked_and_hold_up_no_other"],
    ),
    Mutant(
        "documents-back-of-a-bad-key-stop-all",
        "a row whose key is of no _id ends the way back",
        [
            Swap(
                f"{ROWS_OF_DOCUMENTS}/records.py",
                "_Ids._id",
                "(id_ := id_of(self._mapping, found)) is NO_ID",
                "(id_ := id_of(self._mapping, found)) is None",
            )
        ],
        [f"{BACK}::test_rows_that_are_of_no_document_are_parked_and_hold_up_no_other"],
    ),
    Mutant(
        "documents-locked-stop-all",
        "a row that somebody holds counts as a PostgreSQL that is away",
        [Swap(f"{ROWS_OF_DOCUMENTS}/session.py", "took_too_long", "isinstance(error, _TOO_LONG)", "False")],
        [f"{DOCUMENT_TROUBLE}::test_a_row_that_somebody_holds_keeps_back_no_other_collection_and_few_of_its_own"],
    ),
    Mutant(
        "documents-behind-a-pooler-unpinned",
        "transactions in a session that a pooler lends have the role's settings",
        [Swap(f"{SQL}/lent.py", "TargetConnection.transaction", "self._pins is None or self._inside", "True")],
        [f"{DOCUMENT_COMMANDS}::test_behind_a_pooler_each_transaction_has_our_settings_and_leaves_none_behind"],
    ),
    Mutant(
        "documents-go-to-two-databases",
        "a link works although MongoDB says that its documents go to another PostgreSQL",
        [
            Swap(
                "syncline/documents/standing.py",
                "require_no_other",
                "named.target is not None and named.target != kept.id",
                "False",
            )
        ],
        [f"{LINK_COMMANDS}::test_a_second_postgresql_is_refused_and_takes_no_marks_until_it_is_adopted"],
    ),
    Mutant(
        "changes-of-an-empty-mongodb",
        "a reader that begins anew does not look whether it is the same MongoDB still",
        [Swap("syncline/documents/watching.py", "Watcher._begin_anew", "await self._require_same()", "pass")],
        [f"{CHANGES}::test_a_mongodb_that_comes_back_empty_or_as_another_one_has_no_row_deleted"],
    ),
    Mutant(
        "documents-rows-of-nobody-are-taken",
        "an installation takes rows over that are another MongoDB's, or of which nobody has said whose they are",
        [Swap("syncline/documents/installing.py", "_to_note", "if owner.rows: ...", "if False: ...")],
        [f"{LINK_COMMANDS}::test_an_upgrade_marks_nothing_and_an_unknown_owner_is_not_overwritten"],
    ),
    Mutant(
        "documents-verify-forgets-suspects",
        "a verification that goes on does not know what was under suspicion",
        [Swap("syncline/documents/passing.py", "Passing.restore", 'state["suspects"]', "()")],
        [f"{VERIFY_GOES_ON}::test_what_was_damaged_before_and_behind_the_place_is_found"],
    ),
    Mutant(
        "documents-verify-of-another-link-goes-on",
        "a verification goes on with one of another link, or declaration",
        [Swap(f"{POSTGRES}/verification/passes.py", "PassRows._resume", "rows[0][1] == scope", "True")],
        [f"{VERIFY_GOES_ON}::test_what_is_not_the_same_any_more_is_begun_again"],
    ),
    Mutant(
        "documents-verified-while-copied",
        "workers verify a collection that is being copied",
        [Swap("syncline/documents/continuous.py", "_look", "await rounds.unmarked() | copied", "frozenset()")],
        [f"{VERIFY_GOES_ON}::test_divergence_is_told_until_a_pass_finds_none_and_nothing_is_repaired"],
    ),
    Mutant(
        "document-claims-of-the-future",
        "what a dead verification of documents had claimed stays its for as long as the clock was set back",
        [Swap(f"{ROWS_OF_DOCUMENTS}/verifying.sql", "trim_claims", "interval '20 seconds'", "interval '20 days'")],
        [f"{VERIFY_GOES_ON}::test_what_was_claimed_before_the_clock_was_set_back_is_free_soon"],
    ),
    Mutant(
        "shadow-counts-of-any-declaration",
        "shadow reads say nothing of the declaration under which they were made",
        [Swap("syncline/phases/in_postgresql.py", "InPostgreSQL.shadowed", 'declared.get(one[0], "")', '""')],
        ["tests/integration/test_phases.py::test_a_ramp_begins_with_evidence"],
    ),
    Mutant(
        "verified-by-a-clock-that-is-set-back",
        "tokens and verifications are ordered by a clock that may be set back",
        [
            Swap(
                "syncline/engines/mongo/marked_database.py",
                "MarkedDatabase.moment",
                '{"$max": [{"$add": [{"$ifNull": ["$at", _EPOCH]}, 1]}, "$$NOW"]}',
                '"$$NOW"',
            )
        ],
        [f"{VERIFIED}::test_a_clock_that_is_set_back_makes_no_earlier_pass_count"],
    ),
    Mutant(
        "verified-by-a-pass-that-began-before",
        "a verification that began before the token was drawn proves it",
        [
            Swap(
                "syncline/documents/proving.py",
                "verified",
                "await kept.unproved(names, moment)",
                "await kept.unproved(names, datetime.fromtimestamp(0, UTC))",
            )
        ],
        [f"{VERIFIED}::test_a_pass_that_began_before_the_token_proves_nothing_of_it"],
    ),
    Mutant(
        "restores-what-is-known-is-read-last",
        "what a side knows of the other's counter is read after the counter itself: a beat in between looks like a restore",
        [
            Swap(
                "syncline/documents/restores.py",
                "require_unrestored",
                "known = await kept.beats()\nthere, _ = await database.beats()",
                "there, _ = await database.beats()\nknown = await kept.beats()",
            )
        ],
        [f"{RESTORED}::test_a_beat_of_another_worker_between_two_questions_looks_like_no_restore"],
    ),
    Mutant(
        "back-a-group-ends-the-capture-of-others",
        "a group that goes to live ends the capture of one that is there",
        [Swap("syncline/phases/way_back.py", "WayBack.install", "frozenset(others)", "frozenset()")],
        [f"{BACK}::test_collections_are_captured_and_left_one_by_one"],
    ),
    Mutant(
        "complete-before-everything-is-there",
        "MongoDB is closed though it lacks changes",
        [Swap("syncline/phases/completing.py", "_drained", "await way.waiting(names)", "0")],
        [
            "tests/integration/test_phase_complete.py::test_mongodb_is_closed_with_everything_and_follows_again_only_when_it_is_forced"
        ],
    ),
    Mutant(
        "complete-closed-once-more",
        "a worker that starts while complete is taken back ends the way back",
        [Swap(f"{SIDES}/watching.py", "look", "gate.mode != NOBODY", "True")],
        [
            "tests/integration/test_phase_complete.py::test_a_way_back_from_it_that_was_stopped_loses_nothing_in_the_next_one"
        ],
    ),
    Mutant(
        "live-a-batch-is-many-transactions",
        "each operation of a batch in live is a transaction",
        [Swap("syncline/phases/dual_write/enhanced.py", "_done_in_postgresql", "len(some) > 1", "False")],
        [
            "tests/integration/test_dual_write_in_live.py::test_a_batch_is_one_transaction_in_as_many_round_trips_whatever_its_size"
        ],
    ),
    Mutant(
        "live-a-batch-begins-again",
        "what a batch has done before a gate closed is done again",
        [
            Swap(
                "syncline/phases/dual_write/enhanced.py",
                "AsyncEnhancedDualWriteService._round",
                "place not in told",
                "True",
            )
        ],
        [
            "tests/integration/test_dual_write_in_live.py::test_what_a_batch_has_done_before_a_gate_closes_is_not_done_again"
        ],
    ),
)


def named(name: str) -> Mutant:
    """Find a mutant by its name."""
    return next(mutant for mutant in MUTANTS if mutant.name == name)
