"""An import of backoffice: a million rows through named steps into staging, and the memory that it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.companions import companion
from benchmarks.report import Line
from benchmarks.stage import Sizes, Stage

APP = Path(__file__).parents[1] / "examples/backoffice"
ROWS, FEW = 1_000_000, 50_000
HEADER = "carrier,Region,to_grams,price,days\n"


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Stage a file; every hundredth row is rejected."""
    count = ROWS if sizes.rounds > 1 else FEW
    file = on.folder / "prices.csv"
    with file.open("w") as made:
        made.write(HEADER)
        for number in range(count):
            zone = f"A{number % 9999:04}" if number % 100 else "nowhere"
            made.write(f' Post ,{zone},{number // 9999 * 10 + 10},"{number % 90 + 1},50",\n')
    found = _staged(on, file, count)
    grown, more = found["most"] - found["tenth"], found["most"] - found["before"]
    told = (
        f"resident {found['before']:.0f} MB before, {found['most']:.0f} at most; {count / found['seconds']:.0f} rows/s"
    )
    return [
        Line(f"{count} rows of an upload through six steps into staging, MB more than before", more, "<=", 100, told),
        Line("… MB more than after a tenth of them", grown, "<=", 10, "a part of the file at a time"),
    ]


def _staged(on: Stage, file: Path, count: int) -> dict[str, Any]:
    with psycopg.connect(on.postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench_transforms")
    url = urlsplit(on.postgres.url)._replace(path="/bench_transforms").geturl()
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": os.pathsep.join([str(APP), root])}
    subprocess.run(
        [sys.executable, "-m", "syncline.cli.main", "db", "migrate"],
        cwd=APP, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    seed = [sys.executable, "-m", "backoffice.seed", "--admin", "root@example.org", "--sample"]
    told = {**environment, "BACKOFFICE_ADMIN_PASSWORD": "correct horse battery"}
    subprocess.run(seed, cwd=APP, env=told, check=True, capture_output=True)
    command = [sys.executable, "-m", "benchmarks.transform_player", str(file), str(count)]
    player = companion(command, cwd=APP, env=environment, stdout=subprocess.PIPE, text=True)
    said, _ = player.communicate()
    if player.returncode:
        raise RuntimeError(f"the import ended with {player.returncode}")
    return dict(json.loads(said))
