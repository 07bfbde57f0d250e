"""studybuddy as it is; with ``BENCH_DUAL=1`` as it would be without an outbox: a request writes both databases."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.write_concern import WriteConcern
from studybuddy import schemas
from studybuddy.app import create_app as studybuddy
from studybuddy.models import Todo, User
from studybuddy.problems import missing
from studybuddy.routes.reports import OWNER, SHAPE, SUMS
from studybuddy.routes.users import PUBLIC
from studybuddy.security import Caller
from studybuddy.services import Serving, Session

Collection = AsyncCollection[dict[str, Any]]
ANALYTICS: list[dict[str, Any]] = [
    {"$group": SUMS},
    {"$sort": {"totalHours": -1, "_id": 1}},
    {"$lookup": OWNER},
    {"$match": {"user.showProfile": True}},
    {"$limit": 100},
    {"$project": SHAPE},
]


def create_app() -> FastAPI:
    app = studybuddy()
    if os.environ.get("BENCH_DUAL"):
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGODB_URL"])
        database = client.get_default_database()
        durable = WriteConcern("majority", j=True)
        todos, users = [database.get_collection(name, write_concern=durable) for name in ("todos", "users")]
        before = len(app.router.routes)
        _writing(app, todos, users)
        _reading(app, users, database.reports)
        ours = app.router.routes[before:]
        app.router.routes[:] = [*ours, *app.router.routes[:before]]  # before the application's own
    return app


def _writing(app: FastAPI, todos: Collection, users: Collection) -> None:
    """Commit to the primary, then write MongoDB, then answer."""

    @app.post("/api/todos", status_code=201)
    async def create(new: schemas.NewTodo, caller: Caller, session: Session) -> schemas.Todo:
        todo = Todo(user_id=caller.id, **new.model_dump())
        session.add(todo)
        await session.commit()
        out = schemas.Todo.model_validate(todo)
        document = out.model_dump(by_alias=True)
        await todos.insert_one({"_id": document.pop("id"), "userId": caller.id, **document})
        return out

    @app.patch("/api/todos/{todo_id}")
    async def change(todo_id: int, change: schemas.TodoChange, caller: Caller, session: Session) -> schemas.Todo:
        todo = await _own(session, todo_id, caller.id)
        for name, value in schemas.changes(change).items():
            setattr(todo, name, value)
        await session.commit()
        out = schemas.Todo.model_validate(todo)
        document = out.model_dump(by_alias=True)
        await todos.update_one({"_id": document.pop("id")}, {"$set": document})
        return out

    @app.delete("/api/todos/{todo_id}", status_code=204)
    async def delete(todo_id: int, caller: Caller, session: Session) -> None:
        await session.delete(await _own(session, todo_id, caller.id))
        await session.commit()
        await todos.delete_one({"_id": todo_id})

    @app.post("/api/users", status_code=201)
    async def register(new: schemas.Registration, services: Serving, session: Session) -> schemas.Own:
        hashed = await services.passwords.hash(new.password.get_secret_value())
        user = User(email=new.email, username=new.username, password_hash=hashed, show_profile=new.show_profile)
        session.add(user)
        await session.commit()
        out = schemas.Own.model_validate(user)
        document = out.model_dump(by_alias=True)
        await users.insert_one({"_id": document.pop("id"), "usernameKey": new.username.lower(), **document})
        return out


def _reading(app: FastAPI, users: Collection, reports: Collection) -> None:
    """Ask MongoDB in each request."""

    @app.get("/api/users/leaderboard")
    async def leaderboard(_: Caller) -> list[schemas.LeaderboardEntry]:
        best = users.find({"showProfile": True}, PUBLIC).sort({"totalPoints": -1, "usernameKey": 1}).limit(10)
        return [schemas.LeaderboardEntry.model_validate(one) async for one in best]

    @app.get("/api/reports/analytics")
    async def analytics(_: Caller) -> list[schemas.Analytics]:
        return [schemas.Analytics.model_validate(one) async for one in await reports.aggregate(ANALYTICS)]


async def _own(session: Any, todo_id: int, user_id: int) -> Todo:
    todo: Todo | None = await session.get(Todo, todo_id, with_for_update=True)
    if todo is None or todo.user_id != user_id:
        raise missing("todo")
    return todo
