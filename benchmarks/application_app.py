"""studybuddy as it is; with ``BENCH_DUAL=1`` as it would be without an outbox: a request writes both databases."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI
from pymongo import AsyncMongoClient
from pymongo.write_concern import WriteConcern
from studybuddy import schemas
from studybuddy.app import create_app as studybuddy
from studybuddy.models import Todo
from studybuddy.security import Caller
from studybuddy.services import Session


def create_app() -> FastAPI:
    app = studybuddy()
    if os.environ.get("BENCH_DUAL"):
        _dual(app)
    return app


def _dual(app: FastAPI) -> None:
    """Put the naive route before the application's own."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(os.environ["MONGODB_URL"])
    todos = client.get_default_database().get_collection("todos", write_concern=WriteConcern("majority", j=True))

    async def create(new: schemas.NewTodo, caller: Caller, session: Session) -> schemas.Todo:
        todo = Todo(user_id=caller.id, **new.model_dump())
        session.add(todo)
        await session.commit()
        out = schemas.Todo.model_validate(todo)
        document = out.model_dump(by_alias=True)
        await todos.insert_one({"_id": document.pop("id"), "userId": caller.id, **document})
        return out

    app.add_api_route("/api/todos", create, methods=["POST"], status_code=201, response_model=schemas.Todo)
    app.router.routes.insert(0, app.router.routes.pop())
