"""No path of writing is forgotten: whatever SQLAlchemy can do in a captured session is marked, or it is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import DDL, bindparam, create_engine, delete, event, exists, insert, select, table, text, update
from sqlalchemy import column as plain_column
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from syncline.capture.sqlalchemy.bulk import execute_marked, mark_where
from syncline.capture.sqlalchemy.session import SessionCapture
from syncline.errors import UnseenWriteError
from tests.integration.capture_case import Case, assert_captured, changed
from tests.integration.session_case import (
    Animal,
    Comment,
    Dog,
    Log,
    Node,
    Page,
    Seat,
    Tag,
    Todo,
    User,
    driver_url,
    entities,
    session_case,
    todo_tag,
)

ANN, BOB = UUID(int=1), UUID(int=2)
MARKED: dict[str, Callable[[Session], Any]] = {}
REFUSED: dict[str, Callable[[Session], Any]] = {}
FREE: dict[str, Callable[[Session], Any]] = {}


def marked(act: Callable[[Session], Any]) -> Callable[[Session], Any]:
    MARKED[act.__name__] = act
    return act


def refused(act: Callable[[Session], Any]) -> Callable[[Session], Any]:
    REFUSED[act.__name__] = act
    return act


def free(act: Callable[[Session], Any]) -> Callable[[Session], Any]:
    FREE[act.__name__] = act
    return act


# --- marked: the unit of work ---


@marked
def add(s: Session) -> None:
    s.add(Todo(title="new"))


@marked
def add_all(s: Session) -> None:
    s.add_all([Todo(title=f"new {i}") for i in range(50)])


@marked
def add_more_than_one_statement_holds(s: Session) -> None:
    s.add_all([Todo(title=f"new {i}") for i in range(2500)])


@marked
def add_with_its_own_key(s: Session) -> None:
    s.add_all([Todo(id=900, title="x"), User(id=UUID(int=9), name="z")])


@marked
def change(s: Session) -> None:
    s.get_one(Todo, 1).title = "other"


@marked
def change_many(s: Session) -> None:
    for todo in s.scalars(select(Todo)):
        todo.done = True


@marked
def change_by_expression(s: Session) -> None:
    s.get_one(Todo, 1).title = Todo.title + "!"  # type: ignore[assignment]


@marked
def remove(s: Session) -> None:
    s.delete(s.get_one(Todo, 6))


@marked
def remove_with_children_set_free(s: Session) -> None:
    todo = s.get_one(Todo, 1)
    todo.tags.clear()
    todo.loose.clear()
    s.delete(todo)


@marked
def merge(s: Session) -> None:
    s.merge(Todo(id=2, title="merged"))
    s.merge(Todo(id=800, title="merged"))


@marked
def orphan(s: Session) -> None:
    user = s.get_one(User, ANN)
    user.todos.remove(next(todo for todo in user.todos if todo.id == 5))


@marked
def cascade_of_the_orm(s: Session) -> None:
    user = s.get_one(User, ANN)
    for todo in user.todos:
        todo.tags.clear()
        todo.loose.clear()
    s.delete(user)


@marked
def insert_and_remove_one_key_in_one_flush(s: Session) -> None:
    s.delete(s.get_one(Page, 1))
    s.add(Page(id=1, slug="switched"))


@marked
def child_is_added(s: Session) -> None:
    s.add(Comment(body="x", todo_id=3))


@marked
def child_without_parent(s: Session) -> None:
    s.add(Comment(body="x"))
    s.get_one(Comment, 4).body = "y"
    s.add(Todo(title="so that something is marked"))


@marked
def child_changes(s: Session) -> None:
    s.get_one(Comment, 3).body = "x"


@marked
def child_moves(s: Session) -> None:
    s.get_one(Comment, 1).todo_id = 4


@marked
def child_moves_by_relationship(s: Session) -> None:
    s.get_one(Comment, 1).todo = s.get_one(Todo, 4)


@marked
def child_moves_unloaded(s: Session) -> None:
    comment = s.get_one(Comment, 1)
    s.expire(comment)
    comment.todo_id = 4


@marked
def child_leaves(s: Session) -> None:
    todo = s.get_one(Todo, 1)
    todo.comments.clear()


@marked
def child_is_removed(s: Session) -> None:
    s.delete(s.get_one(Comment, 3))


@marked
def secondary_row_is_added(s: Session) -> None:
    todo = s.get_one(Todo, 3)
    todo.tags.extend([s.get_one(Tag, 1), s.get_one(Tag, 2)])


@marked
def secondary_row_is_removed(s: Session) -> None:
    todo = s.get_one(Todo, 1)
    todo.tags.clear()


@marked
def secondary_without_primary_key(s: Session) -> None:
    todo = s.get_one(Todo, 1)
    todo.loose.clear()
    other = s.get_one(Todo, 4)
    other.loose.append(s.get_one(Tag, 1))


@marked
def secondary_with_a_new_parent(s: Session) -> None:
    s.add(Todo(title="x", tags=[Tag(name="green")]))


@marked
def key_changes(s: Session) -> None:
    s.get_one(Seat, ("a", Decimal("1.50"))).number = Decimal("7.5")


@marked
def key_that_is_not_the_primary_key_changes(s: Session) -> None:
    s.get_one(Page, 1).slug = "start"


@marked
def key_that_is_not_the_primary_key_stays(s: Session) -> None:
    s.get_one(Page, 1).text = "x"


@marked
def typed_composite_key(s: Session) -> None:
    s.add(Seat(row="b", number=Decimal("3.5"), guest="x"))
    s.delete(s.get_one(Seat, ("a", Decimal(2))))


@marked
def post_update(s: Session) -> None:
    s.get_one(Node, 1).best = s.get_one(Node, 3)


@marked
def post_update_of_a_new_pair(s: Session) -> None:
    one, two = Node(), Node()
    one.best, two.best = two, one
    s.add_all([one, two])


@marked
def joined_inheritance(s: Session) -> None:
    s.add(Dog(name="fido", breed="pug"))
    s.get_one(Dog, 2).name = "rexy"


@marked
def joined_inheritance_removed(s: Session) -> None:
    s.delete(s.get_one(Animal, 2))


@marked
def flushed_many_times(s: Session) -> None:
    todo = Todo(title="x")
    s.add(todo)
    s.flush()
    todo.title = "y"
    s.flush()
    s.delete(todo)
    s.flush()
    s.add(Todo(title="so that something is marked"))


@marked
def savepoint_released(s: Session) -> None:
    with s.begin_nested():
        s.get_one(Todo, 1).title = "nested"


@marked
def autoflush_by_a_query(s: Session) -> None:
    s.get_one(Todo, 1).title = "x"
    s.scalars(select(Todo).where(Todo.title == "x")).all()


@marked
def objects_in_a_before_flush_handler(s: Session) -> None:
    @event.listens_for(s, "before_flush", once=True)
    def _(session: Session, *_: Any) -> None:
        session.get_one(Todo, 3).title = "by the handler"

    s.get_one(Todo, 1).title = "x"


@marked
def core_insert_in_a_mapper_event(s: Session) -> None:
    new = insert(Comment).values(body="x", todo_id=1)
    with listening(Log, "after_insert", lambda _, connection, __: connection.execute(new)):
        s.add(Log(line="x"))
        s.flush()


# --- marked: bulk, by the helpers ---


@marked
def mark_where_update(s: Session) -> None:
    with mark_where(s, "todo", Todo.user_id == ANN) as rows:
        s.execute(update(Todo).where(Todo.user_id == ANN).values(user_id=BOB))
    assert rows == 6


@marked
def mark_where_delete(s: Session) -> None:
    with mark_where(s, "todo", Todo.id > 2):
        s.execute(delete(Todo).where(Todo.id > 2))


@marked
def mark_where_key_change(s: Session) -> None:
    with mark_where(s, "seat", Seat.row == "a"):
        s.execute(update(Seat).where(Seat.row == "a").values(guest="x"))


@marked
def mark_where_on_children(s: Session) -> None:
    with mark_where(s, "todo", Comment.id < 4):
        s.execute(update(Comment).where(Comment.id < 4).values(todo_id=5))


@marked
def execute_marked_insert(s: Session) -> None:
    assert execute_marked(s, insert(Todo).values([{"title": "a", "done": False}, {"title": "b", "done": False}])) == 2


@marked
def execute_marked_insert_from_select(s: Session) -> None:
    source = select(Tag.name, exists(select(1)).label("done"))
    execute_marked(s, insert(Todo).from_select(["title", "done"], source))


@marked
def execute_marked_upsert(s: Session) -> None:
    new = pg_insert(Page).values(id=1, slug="home", text="x")
    execute_marked(s, new.on_conflict_do_update(index_elements=["id"], set_={"text": "y"}))


@marked
def execute_marked_update(s: Session) -> None:
    execute_marked(s, update(Todo).where(Todo.id < 3).values(done=True))


@marked
def execute_marked_delete_of_children(s: Session) -> None:
    execute_marked(s, delete(Comment).where(Comment.id < 3))


# --- refused ---


@refused
def update_statement(s: Session) -> None:
    s.execute(update(Todo).where(Todo.id == 1).values(done=True))


@refused
def update_by_primary_keys(s: Session) -> None:
    s.execute(update(Todo), [{"id": 1, "done": True}, {"id": 2, "done": True}])


@refused
def delete_statement(s: Session) -> None:
    s.execute(delete(Todo).where(Todo.id == 6))


@refused
def query_update(s: Session) -> None:
    s.query(Todo).filter(Todo.id == 1).update({"done": True})


@refused
def query_delete(s: Session) -> None:
    s.query(Todo).filter(Todo.id == 6).delete()


@refused
def insert_statement(s: Session) -> None:
    s.execute(insert(Todo).values(title="x", done=False))


@refused
def insert_of_many(s: Session) -> None:
    s.execute(insert(Todo), [{"title": "x"}, {"title": "y"}])


@refused
def insert_returning(s: Session) -> None:
    s.scalars(insert(Todo).returning(Todo), [{"title": "x"}, {"title": "y"}]).all()


@refused
def insert_from_select(s: Session) -> None:
    s.execute(insert(Todo).from_select(["title", "done"], select(Tag.name, exists(select(1)))))


@refused
def upsert(s: Session) -> None:
    s.execute(pg_insert(Page).values(id=1, slug="h").on_conflict_do_update(index_elements=["id"], set_={"slug": "x"}))


@refused
def bulk_save_objects(s: Session) -> None:
    s.bulk_save_objects([Todo(title="x")])


@refused
def bulk_insert_mappings(s: Session) -> None:
    s.bulk_insert_mappings(Todo, [{"title": "x"}])  # type: ignore[arg-type]


@refused
def bulk_update_mappings(s: Session) -> None:
    s.bulk_update_mappings(Todo, [{"id": 1, "title": "x"}])  # type: ignore[arg-type]


@refused
def core_table(s: Session) -> None:
    s.execute(Todo.__table__.update().values(done=True))  # type: ignore[attr-defined]


@refused
def lightweight_table(s: Session) -> None:
    s.execute(update(table("todo", plain_column("done"))).values(done=True))


@refused
def joined_inheritance_update(s: Session) -> None:
    s.execute(update(Dog).values(breed="x"))


@refused
def child_table(s: Session) -> None:
    s.execute(delete(Comment))


@refused
def secondary_table(s: Session) -> None:
    s.execute(todo_tag.insert().values(todo_id=5, tag_id=1))


@refused
def cte_that_writes(s: Session) -> None:
    gone = delete(Comment).where(Comment.id == 1).returning(Comment.id).cte("gone")
    s.execute(select(gone))


@refused
def cte_beside(s: Session) -> None:
    s.execute(select(Tag.id).add_cte(update(Todo).values(done=True).cte("beside")))


@refused
def insert_elsewhere_with_a_writing_cte(s: Session) -> None:
    gone = delete(Todo).where(Todo.id == 6).returning(Todo.title).cte("gone")
    s.execute(insert(Log).from_select(["line"], select(gone.c.title)))


@refused
def text_update(s: Session) -> None:
    s.execute(text("UPDATE todo SET done = true WHERE id = :id"), {"id": 1})


@refused
def text_in_disguise(s: Session) -> None:
    s.execute(text('/* x */ wItH x aS (\ndElEtE\n\tfRoM "public" . "comment" RETURNING 1) SELECT * FROM x'))


@refused
def text_with_columns(s: Session) -> None:
    s.execute(text("DELETE FROM comment RETURNING id").columns(plain_column("id")))


@refused
def text_inside_of_a_select(s: Session) -> None:
    gone = text("DELETE FROM comment RETURNING id").columns(plain_column("id")).cte("gone")
    s.execute(select(gone))


@refused
def text_with_a_unicode_name(s: Session) -> None:
    s.execute(text(r'UPDATE U&"\0074odo" SET done = true'))


@refused
def truncate(s: Session) -> None:
    s.execute(text("TRUNCATE todo_tag"))


@refused
def truncate_as_ddl(s: Session) -> None:
    s.execute(DDL("TRUNCATE todo_tag"))


@refused
def merge_statement(s: Session) -> None:
    s.execute(text("MERGE INTO tag t USING todo ON false WHEN NOT MATCHED THEN DO NOTHING"))


@refused
def anonymous_block(s: Session) -> None:
    s.execute(text("DO $$ BEGIN EXECUTE 'upd' || 'ate to' || 'do set done = true'; END $$"))


@refused
def procedure(s: Session) -> None:
    s.execute(text("/* now */ CALL finish_all()"))


@refused
def driver_sql(s: Session) -> None:
    s.connection().exec_driver_sql("UPDATE todo SET done = true")


@refused
def two_statements_in_one(s: Session) -> None:
    s.connection().exec_driver_sql("SELECT 1; UPDATE todo SET done = true")


@refused
def connection_execute(s: Session) -> None:
    s.connection().execute(update(Todo).values(done=True))


@refused
def view(s: Session) -> None:
    s.execute(text("UPDATE open_todo SET title = 'x'"))


@refused
def in_a_before_flush_handler(s: Session) -> None:
    @event.listens_for(s, "before_flush", once=True)
    def _(session: Session, *_: Any) -> None:
        session.connection().execute(update(Todo).where(Todo.id == bindparam("i")).values(done=True), {"i": 1})

    s.add(Log(line="x"))
    s.flush()


@refused
def bulk_in_a_before_flush_handler(s: Session) -> None:
    @event.listens_for(s, "before_flush", once=True)
    def _(session: Session, *_: Any) -> None:
        session.bulk_save_objects([Todo(title="x")])

    s.add(Log(line="x"))
    s.flush()


@refused
def core_in_a_mapper_event(s: Session) -> None:
    with listening(Log, "after_insert", lambda _, connection, __: connection.execute(update(Todo).values(done=True))):
        s.add(Log(line="x"))
        s.flush()


@refused
def insert_in_a_mapper_event(s: Session) -> None:
    new = insert(Page).from_select(["slug", "text"], select(Tag.name, Tag.name))
    with listening(Log, "after_insert", lambda _, connection, __: connection.execute(new)):
        s.add(Log(line="x"))
        s.flush()


@refused
def in_an_after_flush_handler(s: Session) -> None:
    @event.listens_for(s, "after_flush", once=True)
    def _(session: Session, *_: Any) -> None:
        session.execute(update(Todo).values(done=True))

    s.get_one(Todo, 1).title = "x"
    s.flush()


@refused
def through_the_engine(s: Session) -> None:
    with s.get_bind().engine.begin() as connection:
        connection.execute(update(Todo).values(done=True))


@refused
def by_a_session_that_is_not_attached(s: Session) -> None:
    with Session(s.get_bind()) as other:
        other.add(Todo(title="x"))
        other.commit()


# --- nothing to mark, nothing to refuse ---


@free
def other_tables(s: Session) -> None:
    s.execute(insert(Log), [{"line": "x"}])
    s.execute(text("UPDATE log SET line = 'y'"))
    s.execute(update(Log).values(line="z"))
    s.bulk_save_objects([Log(line="x")])


@free
def locking_reads(s: Session) -> None:
    s.scalars(select(Todo).with_for_update()).all()
    s.execute(text("SELECT * FROM todo FOR UPDATE"))
    s.execute(text("SELECT * FROM todo FOR NO KEY UPDATE"))


@free
def copied_from_a_synced_table(s: Session) -> None:
    s.execute(insert(Log).from_select(["line"], select(Todo.title)))


@contextlib.contextmanager
def listening(target: Any, name: str, listener: Any) -> Iterator[None]:
    event.listen(target, name, listener)
    try:
        yield
    finally:
        event.remove(target, name, listener)


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with session_case(database) as case:
        yield case


@pytest.fixture
def run(case: Case, request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[Session], Any]], None]]:
    """Run a path and commit: in a sync session, or inside of an async one."""
    capture = SessionCapture(*entities())
    if request.param == "sync":
        engine = create_engine(driver_url(case.url))
        sessions = sessionmaker(engine)
        capture.attach(sessions)

        def run_sync(act: Callable[[Session], Any]) -> None:
            with sessions() as session:
                act(session)
                session.commit()

        yield run_sync
        engine.dispose()
        return

    import asyncio

    def run_async(act: Callable[[Session], Any]) -> None:
        async def main() -> None:
            async_engine = create_async_engine(driver_url(case.url))
            async_sessions = async_sessionmaker(async_engine)
            capture.attach(async_sessions)
            try:
                async with async_sessions() as session:
                    await session.run_sync(act)
                    await session.commit()
            finally:
                await async_engine.dispose()

        asyncio.run(main())

    yield run_async


BOTH = pytest.mark.parametrize("run", ["sync", "async"], indirect=True)


@BOTH
@pytest.mark.parametrize("act", MARKED.values(), ids=MARKED)
def test_marked(case: Case, run: Any, act: Any) -> None:
    before = case.contents()
    run(act)
    # An object that the flush visits without changing its row is marked for nothing, which is harmless.
    touched = assert_captured(case, before, also={(name, key) for name, key, _ in case.marks()})
    assert touched


@BOTH
@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_refused(case: Case, run: Any, act: Any) -> None:
    before = case.contents()
    with pytest.raises(UnseenWriteError, match="mark_where"):
        run(act)
    assert not changed(before, case.contents())
    assert not case.marks()


@BOTH
@pytest.mark.parametrize("act", FREE.values(), ids=FREE)
def test_not_concerned(case: Case, run: Any, act: Any) -> None:
    run(act)
    assert not case.marks()
