"""Things to learn. Completing one gives a point, in the same transaction."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import schemas
from studybuddy.correlation import tell
from studybuddy.models import Todo
from studybuddy.paging import Before, Limit, PathId, page_of
from studybuddy.problems import documented, missing
from studybuddy.reads import HEADERS, Reading, Rows, selected
from studybuddy.routes.users import LEADERBOARD, award, profile_of
from studybuddy.security import Caller
from studybuddy.services import Serving, Session, Tokens, commit
from syncline import Secondary

router = APIRouter(prefix="/api/todos", tags=["todos"])


@router.post("", status_code=201, responses=documented(401, 422))
async def create(new: schemas.NewTodo, caller: Caller, session: Session, tokens: Tokens) -> schemas.Todo:
    """Write one down."""
    todo = Todo(user_id=caller.id, **new.model_dump())
    session.add(todo)
    await commit(session, tokens)
    return schemas.Todo.model_validate(todo)


@router.post("/bulk", status_code=201, responses=documented(401, 422))
async def create_many(new: schemas.NewTodos, caller: Caller, session: Session, tokens: Tokens) -> list[schemas.Todo]:
    """Write several down, all or none."""
    todos = [Todo(user_id=caller.id, **one.model_dump()) for one in new.todos]
    session.add_all(todos)
    await commit(session, tokens)
    return [schemas.Todo.model_validate(todo) for todo in todos]


@router.get("", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def list_own(
    caller: Caller,
    reading: Reading,
    completed: bool | None = None,
    difficulty: schemas.Difficulty | None = None,
    subject: Annotated[schemas.Line | None, Query(examples=["maths"])] = None,
    before: Before = None,
    limit: Limit = 50,
) -> schemas.Page[schemas.Todo]:
    """List the caller's own, newest first."""
    chosen = {"completed": completed, "difficulty": difficulty, "subject": subject}
    wanted: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}

    async def secondary(mongodb: Secondary) -> Rows:
        where = {"userId": caller.id, **wanted, **({"_id": {"$lt": before}} if before else {})}
        return await mongodb.query("todos", where, sort=[("_id", -1)], limit=limit + 1)

    async def primary(session: AsyncSession) -> Rows:
        own = select(*Todo.__table__.columns).filter_by(user_id=caller.id, **wanted).order_by(Todo.id.desc())
        return await selected(session, own.where(Todo.id < (before or schemas.MAX_ID)).limit(limit + 1))

    return page_of(schemas.Todo, await reading.rows(secondary, primary), limit)


@router.get("/{todo_id}", responses=documented(401, 404, 422))
async def get(todo_id: PathId, caller: Caller, session: Session) -> schemas.Todo:
    """Give one of the caller's own, from the primary."""
    return schemas.Todo.model_validate(await _own(session, todo_id, caller.id))


@router.patch("/{todo_id}", responses=documented(401, 404, 422))
async def change(
    todo_id: PathId,
    change: schemas.TodoChange,
    caller: Caller,
    services: Serving,
    session: Session,
    tokens: Tokens,
) -> schemas.Todo:
    """Change one. When that completes it, the user gets a point; when it takes that back, loses it."""
    todo = await _own(session, todo_id, caller.id, lock=True)
    was_completed = todo.completed
    for name, value in schemas.changes(change).items():
        setattr(todo, name, value)
    points = int(todo.completed) - int(was_completed)
    if points:
        await session.flush()
        await award(session, caller.id, points)
        await tell(session, "todo.completed" if points > 0 else "todo.reopened", todo.id, {"userId": caller.id})
    await commit(session, tokens)
    if points:
        await services.cache.invalidate(LEADERBOARD, profile_of(caller.id))
    return schemas.Todo.model_validate(todo)


@router.delete("/{todo_id}", status_code=204, responses=documented(401, 404, 422))
async def delete(todo_id: PathId, caller: Caller, session: Session, tokens: Tokens) -> None:
    """Delete one; its point stays."""
    await session.delete(await _own(session, todo_id, caller.id, lock=True))
    await commit(session, tokens)


async def _own(session: AsyncSession, todo_id: int, user_id: int, *, lock: bool = False) -> Todo:
    statement = select(Todo).where(Todo.id == todo_id, Todo.user_id == user_id)
    todo = await session.scalar(statement.with_for_update() if lock else statement)
    if todo is None:
        raise missing("todo")
    return todo
