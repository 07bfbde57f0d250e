"""Direct messages. Only sender and receiver ever see one."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import schemas
from studybuddy.models import Message
from studybuddy.paging import Before, Limit, PathId, page_of
from studybuddy.problems import Problem, documented, missing
from studybuddy.reads import HEADERS, Reading, Rows, selected
from studybuddy.security import Caller
from studybuddy.services import Session, Tokens, commit
from syncline import Secondary

router = APIRouter(prefix="/api/messages", tags=["messages"])

SIMPLE: Any = literal_column("'simple'")
"""The text search configuration. A parameter would be cast to ``regconfig``, which CockroachDB does not know."""

With = Annotated[int, Query(alias="with", ge=1, le=schemas.MAX_ID, description="Id of the other user.")]


@router.post("", status_code=201, responses=documented(401, 404, 422))
async def send(new: schemas.NewMessage, caller: Caller, session: Session, tokens: Tokens) -> schemas.Message:
    """Send one."""
    message = Message(sender_id=caller.id, receiver_id=new.receiver_id, body=new.body)
    session.add(message)
    await commit(session, tokens)
    return schemas.Message.model_validate(message)


@router.get("", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def history(
    other: With, caller: Caller, reading: Reading, before: Before = None, limit: Limit = 50
) -> schemas.Page[schemas.Message]:
    """Give the caller's messages with one other user, newest first."""
    first, second = sorted((caller.id, other))

    async def secondary(mongodb: Secondary) -> Rows:
        where = {"conversation": f"{first}:{second}", **({"_id": {"$lt": before}} if before else {})}
        return await mongodb.query("messages", where, sort=[("_id", -1)], limit=limit + 1)

    async def primary(session: AsyncSession) -> Rows:
        pair = (
            func.least(Message.sender_id, Message.receiver_id) == first,
            func.greatest(Message.sender_id, Message.receiver_id) == second,
        )
        older = Message.id < (before or schemas.MAX_ID)
        columns = select(*Message.__table__.columns)
        return await selected(session, columns.where(*pair, older).order_by(Message.id.desc()).limit(limit + 1))

    return page_of(schemas.Message, await reading.rows(secondary, primary), limit)


@router.get("/search", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def search(
    caller: Caller,
    reading: Reading,
    q: Annotated[str, Query(min_length=1, max_length=100, description="Words; all must occur.", examples=["learn"])],
    limit: Limit = 50,
) -> list[schemas.Message]:
    """Find messages that the caller sent or received."""
    words = re.findall(r"\w+", q)
    if not words:
        raise Problem(422, "there is no word in q")

    async def secondary(mongodb: Secondary) -> Rows:
        own = {"$or": [{"senderId": caller.id}, {"receiverId": caller.id}]}
        text = {"$text": {"$search": " ".join(f'"{word}"' for word in words)}}
        return await mongodb.query("messages", {**text, **own}, sort=[("_id", -1)], limit=limit)

    async def primary(session: AsyncSession) -> Rows:
        own = or_(Message.sender_id == caller.id, Message.receiver_id == caller.id)
        found = func.to_tsvector(SIMPLE, Message.body).op("@@")(func.plainto_tsquery(SIMPLE, " ".join(words)))
        columns = select(*Message.__table__.columns)
        return await selected(session, columns.where(own, found).order_by(Message.id.desc()).limit(limit))

    return [schemas.Message.model_validate(row) for row in await reading.rows(secondary, primary)]


@router.delete("/{message_id}", status_code=204, responses=documented(401, 403, 404, 422))
async def delete(message_id: PathId, caller: Caller, session: Session, tokens: Tokens) -> None:
    """Delete one, for both; only its sender can."""
    message = await session.get(Message, message_id, with_for_update=True)
    if message is None or caller.id not in (message.sender_id, message.receiver_id):
        raise missing("message")
    if message.sender_id != caller.id:
        raise Problem(403, "only its sender can delete a message")
    await session.delete(message)
    await commit(session, tokens)
