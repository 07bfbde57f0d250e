#!/usr/bin/env bash
# Django 5.2.8, SQLite in memory, two databases, a router whose allow_relation() says no between them.
#
# What it does: Django asks allow_relation() when an object is assigned to a foreign key. Iterating a reverse relation assigns the parent
# to each row as it is read, so that `parent.child_set.all()` raises "Cannot assign …" in code that assigns nothing, from the
# day on which it has a row: with none it is an empty list. What assigns by id (create, bulk_create) and what crosses in
# bulk (`update(parent=…)`, `filter(parent=…)`, count, values_list, `child.parent`) is not asked about at all.
# What one would have guessed: writing the relation is refused, reading it is not; or both are, always.
# Seen:
#     without a row: list(parent.child_set.all()) -> []
#     Child.objects.create(parent=parent) -> ValueError
#     Child.objects.create(parent_id=parent.pk) -> done
#     Child.objects.update(parent=parent) -> 1
#     Child.objects.filter(parent=parent).count() -> 1
#     parent.child_set.values_list('pk', flat=True)[0] -> 1
#     child.parent -> Parent
#     with a row: list(parent.child_set.all()) -> ValueError
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages django==5.2.8
python - <<'PYTHON' | expect "without a row: list(parent.child_set.all()) -> []
Child.objects.create(parent=parent) -> ValueError
Child.objects.create(parent_id=parent.pk) -> done
Child.objects.update(parent=parent) -> 1
Child.objects.filter(parent=parent).count() -> 1
parent.child_set.values_list('pk', flat=True)[0] -> 1
child.parent -> Parent
with a row: list(parent.child_set.all()) -> ValueError"
import django
from django.conf import settings


class Router:
    def db_for_read(self, model, **_):
        return "data" if model.__name__ == "Child" else "default"

    db_for_write = db_for_read

    def allow_relation(self, one, other, **_):
        return type(one) is type(other)


ENGINE = "django.db.backends.sqlite3"
settings.configure(
    DATABASES={name: {"ENGINE": ENGINE, "NAME": f"file:{name}?mode=memory&cache=shared"} for name in ("default", "data")},
    DATABASE_ROUTERS=[Router()],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.db import connections, models  # noqa: E402


class Parent(models.Model):
    class Meta:
        app_label = "app"


class Child(models.Model):
    parent = models.ForeignKey(Parent, models.DO_NOTHING, db_constraint=False)

    class Meta:
        app_label = "app"


def say(text, call):
    try:
        print(text, "->", call())
    except ValueError as error:
        print(text, "->", type(error).__name__)


for name, model in (("default", Parent), ("data", Child)):
    with connections[name].schema_editor() as editor:
        editor.create_model(model)
parent = Parent.objects.create()
say("without a row: list(parent.child_set.all())", lambda: list(parent.child_set.all()))
say("Child.objects.create(parent=parent)", lambda: Child.objects.create(parent=parent))
say("Child.objects.create(parent_id=parent.pk)", lambda: Child.objects.create(parent_id=parent.pk) and "done")
say("Child.objects.update(parent=parent)", lambda: Child.objects.update(parent=parent))
say("Child.objects.filter(parent=parent).count()", lambda: Child.objects.filter(parent=parent).count())
say("parent.child_set.values_list('pk', flat=True)[0]", lambda: parent.child_set.values_list("pk", flat=True)[0])
say("child.parent", lambda: type(Child.objects.get().parent).__name__)
say("with a row: list(parent.child_set.all())", lambda: list(parent.child_set.all()))
PYTHON
