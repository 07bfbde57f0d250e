"""Runs one scenario and prints what came of it, as JSON."""

from __future__ import annotations

import contextlib
import json
import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.django_project.settings"
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from syncline.errors import SynclineError  # noqa: E402
from tests.integration.django_project.models import Carrier, Customer, Zone  # noqa: E402


def attempt(work):
    """Run something that may be refused; give the refusal."""
    try:
        return work()
    except SynclineError as error:
        return f"{type(error).__name__}: {error.message}"


def write_both():
    with transaction.atomic():
        Customer.objects.create(name="lost")
        Carrier.objects.create(name="lost")


def write_both_in_two_blocks():
    with transaction.atomic(using="default"), transaction.atomic(using=Carrier.objects.db):
        Customer.objects.create(name="lost")
        Carrier.objects.create(name="lost")


@transaction.atomic
def write_one(model):
    model.objects.create(name="kept")


def one_after_the_other():
    write_one(Customer)
    write_one(Carrier)
    return True


def as_in_a_test_case(work):
    with contextlib.ExitStack() as stack:
        for alias in connections:
            outer = transaction.atomic(using=alias)
            outer._from_testcase = True  # as TestCase says of the transaction that it puts around a test
            stack.enter_context(outer)
        return work()


def execute(alias, sql, params=None):
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, params)
        return True


def tables(alias):
    with connections[alias].cursor() as cursor:
        return sorted(name for name in connections[alias].introspection.table_names(cursor) if name.startswith("shop"))


for alias in connections:
    call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
call_command("check")
carrier = Carrier.objects.create(name="post")
carrier.zones.add(Zone.objects.create(name="north"))
Customer.objects.create(name="ann")
with CaptureQueriesContext(connection):
    found = {
        "tables": {alias: tables(alias) for alias in connections},
        "aliases": [Customer.objects.db, Carrier.objects.db, Carrier.zones.through.objects.db],
        "read": [carrier.zones.get().name, Customer.objects.get(name="ann").name],
        "both": attempt(write_both),
        "both in two blocks": attempt(write_both_in_two_blocks),
        "one after the other": attempt(one_after_the_other),
        "in a test case": attempt(lambda: as_in_a_test_case(one_after_the_other)),
        "both in a test case": attempt(lambda: as_in_a_test_case(write_both)),
        "bulk": attempt(lambda: len(Carrier.objects.bulk_create([Carrier(name="a"), Carrier(name="b")]))),
        "wrong": attempt(
            lambda: execute("default", "SELECT * FROM shop_carrier WHERE name LIKE 'p%%' AND id = %s", [1])
        ),
        "wrong the other way": attempt(lambda: execute("data", "DELETE FROM shop_customer")),
        "across": attempt(lambda: execute("default", "SELECT * FROM shop_customer, shop_carrier")),
        "percent": attempt(lambda: execute("default", "SELECT * FROM shop_customer WHERE name LIKE 'a%'")),
        "using": attempt(lambda: Carrier.objects.using("data").filter(name="post").count()),
        "lost": Customer.objects.filter(name="lost").count() + Carrier.objects.filter(name="lost").count(),
    }
print(json.dumps(found))
