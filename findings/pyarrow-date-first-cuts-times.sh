#!/usr/bin/env bash
# pyarrow 26.0.1.
#
# What it does: pa.array() of Python values, and Table.from_pylist() with it, chooses a type from all values, and finds a common one for 1 and 2.5. Of a date
# and a datetime, as a field has them whose rows were written by two programs, the first decides: date first and the times of all others are gone,
# also inside of lists; datetime first and it is an error. Naive and aware datetimes become one column, of either kind, as the first one is.
# What one would have guessed: timestamps, or the error in both orders.
# Seen: below, between the quotes.
# What helps: a schema with timestamps, which refuses the date (ArrowTypeError); make a datetime of it first.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages pyarrow==26.0.1
python - <<'PYTHON' | expect '1, 2.5: double [1.0, 2.5]
date, datetime: date32[day] [2024-01-01, 2024-01-01]
datetime, date: ArrowTypeError
list of both: list<item: date32[day]> [[2024-01-01, 2024-01-01]]
from_pylist: date32[day] [2024-01-01, 2024-01-01]
naive, aware: timestamp[us] [2024-01-01 12:30:00, 2024-01-01 07:30:00]
aware, naive: timestamp[us, tz=+05:00] [2024-01-01 12:30:00+05:00, 2024-01-01 17:30:00+05:00]'
from datetime import date, datetime, timedelta, timezone

import pyarrow as pa

day, noon = date(2024, 1, 1), datetime(2024, 1, 1, 12, 30)
aware = noon.replace(tzinfo=timezone(timedelta(hours=5)))

def shown(value):
    return f"[{', '.join(map(shown, value))}]" if isinstance(value, list) else str(value)

def look(name, make):
    try:
        made = make()
        print(f"{name}: {made.type} {shown(made.to_pylist())}")
    except pa.ArrowException as error:
        print(f"{name}: {type(error).__name__}")

look("1, 2.5", lambda: pa.array([1, 2.5]))
look("date, datetime", lambda: pa.array([day, noon]))
look("datetime, date", lambda: pa.array([noon, day]))
look("list of both", lambda: pa.array([[day, noon]]))
look("from_pylist", lambda: pa.Table.from_pylist([{"at": day}, {"at": noon}]).column("at"))
look("naive, aware", lambda: pa.array([noon, aware]))
look("aware, naive", lambda: pa.array([aware, noon]))
PYTHON
