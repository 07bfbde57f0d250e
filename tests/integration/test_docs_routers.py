"""The page on mounting the routers runs as it stands."""

from __future__ import annotations

import pytest

from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.wiring.sides import make_health
from tests.integration.capture_case import Case, entity
from tests.integration.test_docs_capture import run
from tests.integration.test_health import PATIENT


def test_mount_the_routers(database: str, mongo_url: str, mongo_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "syncline.contrib.fastapi.integration.make_health",
        lambda settings, **given: make_health(settings, **given | {"deadline": PATIENT}),
    )
    todo = entity("todo", "todo")
    with Case(database, [todo]) as case:
        case.sql("CREATE TABLE todo (id integer PRIMARY KEY, title text NOT NULL)")
        case.install()
        settings = Settings(
            SourceSettings(url=database), TargetSettings(url=mongo_url, database=mongo_db), entities=(todo,)
        )
        names = {
            "DATABASE_URL": database.replace("postgresql:", "postgresql+psycopg:", 1),
            "MONGODB_URL": mongo_url,
            "SETTINGS": settings,
        }
        run("mount-the-routers.md", names)
        assert [hint for _, _, hint in case.marks()] == ["I"]
