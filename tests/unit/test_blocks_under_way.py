"""What is taken of blocks: all of one where its keys are free and there is room, else exactly what may be taken."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.engines.postgres.states import as_marks
from syncline.model.mark import Mark, most_blocks
from syncline.relay.apart import Apart
from syncline.relay.underway import Taken, UnderWay
from syncline.relay.work import Touched, Work

ENTITY, LANE, ROOM = 1, 7, 100


def row(seq: int, key: str, hint: str = "U") -> Mark:
    return Mark(seq, LANE, ENTITY, key, hint, True)


def block(seq: int, *keys: str, hint: str = "I") -> Mark:
    return Mark(seq, LANE, ENTITY, "", hint, True, list(keys))


def took(under_way: UnderWay, *marks: Mark, most: int = ROOM) -> Taken:
    return under_way.take(list(marks), {ENTITY}, most=most)


def work_of(taken: Taken) -> Work:
    return Work(1, 0.0, 0.0, {LANE: 1}, taken.touched, list(taken.marks))


def keys_of(marks: Sequence[Mark]) -> list[tuple[int, list[str], bool]]:
    return [(mark.seq, list(mark.all_keys), mark.whole) for mark in marks]


def test_a_block_whose_keys_are_free_is_taken_whole():
    taken = took(UnderWay(), row(1, "a"), block(5, "b", "c"), row(6, "d"))
    assert keys_of(taken.marks) == [(1, ["a"], True), (6, ["d"], True), (5, ["b", "c"], True)]
    assert taken.touched[ENTITY].hints == {"a": "U", "b": "I", "c": "I", "d": "U"}
    assert set(taken.touched[ENTITY].lanes.values()) == {LANE}
    assert taken.left is None


def test_a_key_of_several_marks_is_one_that_was_updated():
    taken = took(UnderWay(), row(1, "a"), block(5, "a", "b"), block(9, "b", "c"))
    assert taken.touched[ENTITY].hints == {"a": "U", "b": "U", "c": "I"}
    assert len(taken.marks) == 3


def test_a_second_delete_and_another_mark_are_no_second_delete():
    taken = took(UnderWay(), block(5, "a", "b", hint="G"), block(9, "b", "c"))
    assert taken.touched[ENTITY].again == {"a"}


def test_what_is_under_way_is_left_of_a_block_and_found_again():
    under_way = UnderWay()
    first = work_of(took(under_way, row(1, "b")))

    second = took(under_way, block(5, "a", "b", "c"))

    assert keys_of(second.marks) == [(5, ["a", "c"], False)]
    assert second.touched[ENTITY].hints.keys() == {"a", "c"}
    assert under_way.release(first), "a new pass finds what was left"
    assert keys_of(took(under_way, block(5, "a", "b", "c")).marks) == [(5, ["b"], False)]


def test_a_block_that_is_met_while_it_is_under_way_asks_for_no_new_pass():
    under_way = UnderWay()
    first = work_of(took(under_way, block(5, "a", "b")))
    assert took(under_way, block(5, "a", "b")).marks == []
    assert not under_way.release(first)
    assert keys_of(took(under_way, block(5, "a", "b")).marks) == [(5, ["a", "b"], True)]


def test_a_key_that_is_held_back_stays_in_its_block():
    under_way = UnderWay()
    under_way.hold_back({(ENTITY, "b"): 60.0})
    assert keys_of(took(under_way, block(5, "a", "b", "c")).marks) == [(5, ["a", "c"], False)]


def test_blocks_that_do_not_fit_are_left():
    taken = took(UnderWay(), row(1, "a"), block(5, "b", "c"), block(9, "d", "e"), row(10, "f"), most=4)
    assert keys_of(taken.marks) == [(1, ["a"], True), (5, ["b", "c"], True)]
    assert taken.left == 9


def test_of_the_first_block_a_part_is_taken_where_it_is_larger_than_the_room():
    under_way = UnderWay()
    one = block(5, "a", "b", "c")
    found = []
    for expected in ("a", "b", "c"):
        taken = took(under_way, one, most=1)
        found += keys_of(taken.marks)
        assert taken.touched[ENTITY].hints.keys() == {expected}
    assert found == [(5, ["a"], False), (5, ["b"], False), (5, ["c"], False)]
    assert took(under_way, one, most=1).left is None, "all of it is under way: what follows is read"


def test_what_is_put_back_is_free_and_the_rest_is_a_part():
    under_way = UnderWay()
    work = work_of(took(under_way, row(1, "a"), block(5, "b", "c", "d")))
    under_way.put_back(work, {ENTITY: ["a", "c"]})
    assert keys_of(work.marks) == [(5, ["b", "d"], False)]
    assert work.touched[ENTITY].hints.keys() == {"b", "d"}
    assert keys_of(took(under_way, row(1, "a"), block(5, "b", "c", "d")).marks) == [(1, ["a"], True), (5, ["c"], False)]


def test_a_group_that_is_read_apart_has_the_keys_of_a_block_one_by_one():
    under_way = UnderWay()
    work = work_of(took(under_way, row(1, "a"), block(5, "a", "b", "c")))
    group = Apart(None, {LANE: 1})  # type: ignore[arg-type]  # its plan is not asked
    group.add(work.leave_out({ENTITY: ["a", "b"]}))
    marks = group.next()
    assert keys_of(marks) == [(1, ["a"], True), (5, ["a"], False), (5, ["b"], False)]
    assert Touched.of(marks).hints == {"a": "U", "b": "I"}
    under_way.free(marks)
    assert keys_of(took(under_way, block(5, "a", "b", "c")).marks) == [(5, ["a", "b"], False)]


def found(*marks: Mark) -> list[tuple[object, ...]]:
    """As the statement gives them: of a block no key."""
    return [(*mark[:3], None if mark.keys else mark.key, *mark[4:7]) for mark in marks]


def test_marks_end_where_rows_or_blocks_were_cut_off():
    rows, blocks = [row(1, "a"), row(2, "b")], [block(5, *map(str, range(9))), block(7, "x")]
    assert [mark[0] for mark in as_marks(found(*rows, *blocks), 2)] == [1, 2], "rows between 2 and 5 may be missing"
    assert [mark[0] for mark in as_marks(found(*blocks, row(8, "c")), 9)] == [5, 7], "blocks between 7 and 8 may be"
    assert [mark[0] for mark in as_marks(found(row(1, "a"), block(5, "x"), row(8, "c")), 200)] == [1, 5, 8]
    few = [block(n, "x") for n in range(most_blocks(99))]
    assert [mark[0] for mark in as_marks(found(*few, row(500, "c")), 99)] == [mark.seq for mark in few]
