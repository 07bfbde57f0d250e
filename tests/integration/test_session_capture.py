"""What the session hook promises beside that no path is forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import ForeignKey, create_engine, event, insert, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from syncline.capture.events import record
from syncline.capture.sqlalchemy.bulk import execute_marked, mark_where
from syncline.capture.sqlalchemy.session import SessionCapture
from syncline.errors import CaptureError, NotInstalledError, UnseenWriteError
from syncline.model.entity import Embed, Entity, TableName
from tests.integration.capture_case import Case, assert_captured, changed, entity
from tests.integration.session_case import Comment, Page, Todo, driver_url, session_case

ANN, BOB = UUID(int=1), UUID(int=2)


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with session_case(database) as case:
        yield case


@pytest.fixture
def sessions(case: Case) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(driver_url(case.url))
    factory = sessionmaker(engine)
    SessionCapture("todo").attach(factory)
    yield factory
    engine.dispose()


def test_a_savepoint_that_is_rolled_back_takes_its_mark_with_it(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.get_one(Todo, 1).title = "outer"
        savepoint = session.begin_nested()
        session.get_one(Todo, 2).title = "inner"
        session.flush()
        assert len(case.marks()) == 0
        savepoint.rollback()
        session.get_one(Todo, 3).title = "after"
        session.commit()
    assert case.marks() == [("todo", "1", "U"), ("todo", "3", "U")]


def test_a_rollback_leaves_no_mark(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(Todo(title="x"))
        session.flush()
        session.rollback()
        session.commit()
    assert case.marks() == []


def test_one_flush_is_one_statement_and_one_mark_for_each_key(case: Case, sessions: sessionmaker[Session]) -> None:
    sent: list[str] = []
    with sessions() as session:
        event.listen(session.get_bind(), "before_cursor_execute", lambda *args: sent.append(args[2]))
        todo = session.get_one(Todo, 1)
        session.delete(session.get_one(Todo, 6))
        todo.title = "x"
        session.add_all([Comment(body=str(i), todo=todo) for i in range(10)])
        session.add_all([Page(slug=str(i)) for i in range(10)])
        session.commit()
    assert len([statement for statement in sent if "syncline.mark(" in statement]) == 1
    assert sorted(case.marks()) == [
        *(("page", str(i), "I") for i in range(10)),
        ("todo", "1", "U"),
        ("todo", "6", "D"),
    ]


def test_a_child_that_somebody_moved_marks_where_it_really_is(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        comment = session.get_one(Comment, 1)
        case.sql("UPDATE comment SET todo_id = 2 WHERE id = 1")
        before = case.contents()
        comment.body = "changed by who believes it belongs to todo 1"
        session.commit()
    assert ("todo", "2") in assert_captured(case, before)


def test_a_child_that_somebody_moved_and_that_moves_on(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        comment = session.get_one(Comment, 1)
        case.sql("UPDATE comment SET todo_id = 2 WHERE id = 1")
        before = case.contents()
        comment.todo_id = 3
        session.commit()
    assert {("todo", "2"), ("todo", "3")} <= assert_captured(case, before)


def test_a_child_that_somebody_is_just_moving(case: Case, sessions: sessionmaker[Session]) -> None:
    before = case.contents()
    with sessions() as session, psycopg.connect(case.url) as other:
        comment = session.get_one(Comment, 1)
        other.execute("UPDATE comment SET todo_id = 2 WHERE id = 1")
        comment.todo_id = 3
        with ThreadPoolExecutor(1) as thread:
            flushed = thread.submit(session.commit)
            time.sleep(0.5)
            assert not flushed.done()
            other.commit()
            flushed.result()
    # Who moved it to 2 marked nothing here; where it was taken from is marked.
    assert {("todo", "2", "U"), ("todo", "3", "U")} <= set(case.marks())
    assert ("todo", "2") not in changed(before, case.contents())


def test_a_key_that_somebody_changed(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        page = session.get_one(Page, 1)
        case.sql("UPDATE page SET slug = 'start' WHERE id = 1")
        before = case.contents()
        page.slug = "index"
        session.commit()
    assert {("page", "start"), ("page", "index")} <= assert_captured(case, before)


def test_entities_that_are_not_named_are_captured_too_when_the_installation_says_so(
    case: Case, sessions: sessionmaker[Session]
) -> None:
    with sessions() as session:
        session.add(Page(slug="x"))
        session.commit()
        with pytest.raises(UnseenWriteError):
            session.execute(update(Page).values(text="x"))
    assert case.marks() == [("page", "x", "I")]


def test_a_statement_with_a_reason_passes(case: Case, sessions: sessionmaker[Session]) -> None:
    statement = update(Todo).values(done=True)
    with sessions() as session:
        session.execute(statement, execution_options={"syncline": "marked: resynced by the import"})
        with pytest.raises(CaptureError, match="not a reason"):
            session.execute(statement, execution_options={"syncline": "marked:  "})
        with pytest.raises(CaptureError, match="not a reason"):
            session.execute(statement, execution_options={"syncline": True})


def test_autocommit_is_refused(case: Case) -> None:
    engine = create_engine(driver_url(case.url), isolation_level="AUTOCOMMIT")
    sessions = sessionmaker(engine)
    SessionCapture("todo").attach(sessions)
    with sessions() as session:
        session.add(Todo(title="x"))
        with pytest.raises(CaptureError, match="AUTOCOMMIT"):
            session.flush()
    assert case.sql("SELECT count(*) FROM todo") == [(6,)]
    engine.dispose()


def test_mark_where_with_another_condition_never_commits(case: Case, sessions: sessionmaker[Session]) -> None:
    before = case.contents()
    with sessions() as session:
        mismatch = r"changed 6 rows of public\.todo, the condition of mark_where matched 2"
        with pytest.raises(CaptureError, match=mismatch), mark_where(session, "todo", Todo.id < 3):
            session.execute(update(Todo).values(done=True))
        with pytest.raises(CaptureError, match="must not commit"):
            session.commit()
        session.rollback()
    assert case.contents() == before


def test_mark_where_notices_what_came_in_between(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        covered = mark_where(session, "todo", Todo.user_id == ANN)
        assert covered.__enter__() == 6
        case.sql(f"INSERT INTO todo (title, done, user_id) VALUES ('phantom', false, '{ANN}')")
        with pytest.raises(CaptureError, match="changed 7 rows"):
            session.execute(update(Todo).where(Todo.user_id == ANN).values(user_id=BOB))
        session.rollback()


def test_mark_where_covers_one_statement(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session, mark_where(session, "todo", Todo.id == 1):
        session.execute(update(Todo).where(Todo.id == 1).values(done=True))
        with pytest.raises(UnseenWriteError):
            session.execute(update(Todo).where(Todo.id == 1).values(done=False))


def test_execute_marked_refuses_a_change_of_keys(case: Case, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        with pytest.raises(CaptureError, match="changes id"):
            execute_marked(session, update(Todo).where(Todo.id == 1).values(id=99))
        with pytest.raises(CaptureError, match="changes todo_id"):
            execute_marked(session, update(Comment).values(todo_id=3))


def test_the_helpers_need_a_captured_session(case: Case) -> None:
    engine = create_engine(driver_url(case.url))
    with Session(engine) as session, pytest.raises(CaptureError, match="not attached"):
        execute_marked(session, update(Todo).values(done=True))
    engine.dispose()


def test_reading_needs_no_installation_and_writing_does(database: str) -> None:
    engine = create_engine(driver_url(database))
    sessions = sessionmaker(engine)
    SessionCapture("todo").attach(sessions)
    with sessions() as session:
        session.execute(select(1))
        with pytest.raises(NotInstalledError, match="syncline install"):
            session.execute(text("INSERT INTO log VALUES (1)"))
    engine.dispose()


def test_a_named_entity_must_be_installed(case: Case) -> None:
    engine = create_engine(driver_url(case.url))
    sessions = sessionmaker(engine)
    SessionCapture("todo", "invoice").attach(sessions)
    with sessions() as session:
        session.add(Todo(title="x"))
        with pytest.raises(NotInstalledError, match="not installed: invoice"):
            session.flush()
    engine.dispose()


def test_all_captures_at_once_are_harmless(database: str) -> None:
    with session_case(database) as case:
        case.options = {"capture": "triggers"}
        case.install()
        engine = create_engine(driver_url(database))
        sessions = sessionmaker(engine)
        SessionCapture(*case.entities).attach(sessions)
        before = case.contents()
        with sessions() as session:
            todo = session.get_one(Todo, 1)
            todo.title = "x"
            record(session, "todo.completed", 1, {"by": "ann"})
            session.add(Comment(body="new", todo_id=3))
            session.flush()
            session.execute(update(Todo).where(Todo.id > 4).values(done=True))
            session.execute(insert(Page), [{"slug": "s", "text": ""}])
            session.commit()
        assert_captured(case, before)
        assert len([mark for mark in case.marks() if mark[:2] == ("todo", "1")]) == 3
        engine.dispose()


def test_a_schema_of_the_applications_whose_name_begins_as_ours_is_captured(database: str) -> None:
    class Own(DeclarativeBase):
        pass

    class Item(Own):
        __tablename__ = "item"
        __table_args__: ClassVar[dict[str, str]] = {"schema": "syncline_shop"}
        id: Mapped[int] = mapped_column(primary_key=True)

    engine = create_engine(driver_url(database))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA syncline_shop")
    Own.metadata.create_all(engine)
    with Case(database, [entity("item", "syncline_shop.item")], capture="session") as case:
        case.install()
        sessions = sessionmaker(engine)
        SessionCapture("item").attach(sessions)
        with sessions.begin() as session:
            session.add(Item(id=1))
        assert [mark[:2] for mark in case.marks()] == [("item", "1")]
    engine.dispose()


class Shop(DeclarativeBase):
    pass


class Customer(Shop):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)


class Order(Shop):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id", ondelete="CASCADE"))


class Line(Shop):
    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id", ondelete="CASCADE", onupdate="CASCADE"))


def orders(**options: Any) -> list[Entity]:
    lines = Embed("lines", TableName("public", "line"), ("order_id",))
    return [entity("order", "order", embeds=(lines,), **options)]


REASON = {"order.customer_id": "customers are never deleted"}


def test_cascades_of_the_database_are_refused_when_attaching() -> None:
    with pytest.raises(CaptureError, match=r"customer_id: ON DELETE CASCADE.*\n.*triggers.*\"order.customer_id\""):
        SessionCapture(*orders()).attach(sessionmaker(), models=Shop)


def test_a_cascade_to_the_parts_of_a_document_is_in_its_own_mark() -> None:
    SessionCapture(*orders(), exempt=REASON).attach(sessionmaker(), models=Shop)


def test_cascades_that_only_the_database_knows_are_refused_at_the_first_write(database: str) -> None:
    engine = create_engine(driver_url(database))
    Shop.metadata.create_all(engine)
    with Case(database, orders(), capture="session") as case:
        case.install()
        case.sql("INSERT INTO customer VALUES (1)")
        for exempt, refused in (({}, True), (REASON, False)):
            sessions = sessionmaker(create_engine(driver_url(database)))
            SessionCapture("order", exempt=exempt).attach(sessions)
            with sessions() as session:
                session.add(Order(id=1, customer_id=1))
                if refused:
                    with pytest.raises(CaptureError, match="customer_id: ON DELETE CASCADE"):
                        session.commit()
                else:
                    session.commit()
                    session.delete(session.get_one(Order, 1))
                    session.commit()
            sessions.kw["bind"].dispose()
        assert case.marks() == [("order", "1", "I"), ("order", "1", "D")]
    engine.dispose()
