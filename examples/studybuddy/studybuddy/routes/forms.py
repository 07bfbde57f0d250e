"""Forms, and responses to them. Who has a form's id may read and answer it; its owner sees all responses."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import models, schemas
from studybuddy.paging import Before, Limit, PathId, page_of
from studybuddy.problems import Problem, documented, missing
from studybuddy.reads import HEADERS, Reading, Rows, selected
from studybuddy.security import Caller
from studybuddy.services import Session, Tokens, commit
from syncline import Secondary

router = APIRouter(prefix="/api/forms", tags=["forms"])


@router.post("", status_code=201, responses=documented(401, 422))
async def create(new: schemas.NewForm, caller: Caller, session: Session, tokens: Tokens) -> schemas.Form:
    """Make one."""
    form = models.Form(user_id=caller.id, **new.model_dump())
    session.add(form)
    await commit(session, tokens)
    return schemas.Form.model_validate(form)


@router.get("/{form_id}", responses=documented(401, 404, 422))
async def get(form_id: PathId, _: Caller, session: Session) -> schemas.Form:
    """Give a form, to be answered."""
    return schemas.Form.model_validate(await _form(session, form_id))


@router.patch("/{form_id}", responses=documented(401, 404, 422))
async def change(
    form_id: PathId, change: schemas.FormChange, caller: Caller, session: Session, tokens: Tokens
) -> schemas.Form:
    """Change the title of one of the caller's own."""
    form = await _form(session, form_id, owner=caller.id, lock=True)
    form.title = change.title
    await commit(session, tokens)
    return schemas.Form.model_validate(form)


@router.delete("/{form_id}", status_code=204, responses=documented(401, 404, 422))
async def delete(form_id: PathId, caller: Caller, session: Session, tokens: Tokens) -> None:
    """Delete one of the caller's own, with its responses."""
    await session.delete(await _form(session, form_id, owner=caller.id, lock=True))
    await commit(session, tokens)


@router.post("/{form_id}/responses", status_code=201, responses=documented(401, 404, 409, 422))
async def respond(
    form_id: PathId, new: schemas.NewResponse, caller: Caller, session: Session, tokens: Tokens
) -> schemas.FormResponse:
    """Answer a form, once."""
    form = await _form(session, form_id)
    if len(new.answers) != len(form.questions):
        raise Problem(422, f"the form has {len(form.questions)} questions")
    given = models.Response(form_id=form.id, user_id=caller.id, answers=new.answers)
    session.add(given)
    await commit(session, tokens)
    return schemas.FormResponse.model_validate(given)


@router.get("/{form_id}/responses", responses={200: {"headers": HEADERS}, **documented(400, 401, 404, 422)})
async def responses(
    form_id: PathId, caller: Caller, session: Session, reading: Reading, before: Before = None, limit: Limit = 50
) -> schemas.Page[schemas.FormResponse]:
    """List the responses to one of the caller's own forms, newest first."""
    await _form(session, form_id, owner=caller.id)
    await session.rollback()  # no connection is held while MongoDB is asked

    async def secondary(mongodb: Secondary) -> Rows:
        where = {"formId": form_id, **({"_id": {"$lt": before}} if before else {})}
        return await mongodb.query("responses", where, sort=[("_id", -1)], limit=limit + 1)

    async def primary(session: AsyncSession) -> Rows:
        given = select(*models.Response.__table__.columns).where(models.Response.form_id == form_id)
        older = given.where(models.Response.id < (before or schemas.MAX_ID))
        return await selected(session, older.order_by(models.Response.id.desc()).limit(limit + 1))

    return page_of(schemas.FormResponse, await reading.rows(secondary, primary), limit)


async def _form(session: AsyncSession, form_id: int, owner: int | None = None, *, lock: bool = False) -> models.Form:
    form = await session.get(models.Form, form_id, with_for_update=lock)
    if form is None or (owner is not None and form.user_id != owner):
        raise missing("form")
    return form
