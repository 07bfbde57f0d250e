#!/usr/bin/env bash
# PyMongo 4.20.0.
#
# What it does: where no server answers, a client with serverSelectionTimeoutMS=500 gives up after 0.5 s. The same call within
# `pymongo.timeout(3)`, or with timeoutMS=3000 in the URL, gives up after 3 s: the limit of the whole operation takes the place of the
# shorter one. The specification of such limits (client-side operations timeout) has drivers take the smaller of both.
# What one would have guessed: a limit put around a call can only make it end earlier.
# Seen:
#     serverSelectionTimeoutMS=500: ended by the limit of selection
#     within pymongo.timeout(3): ended by the limit of the operation
#     with timeoutMS=3000: ended by the limit of the operation
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages pymongo==4.20.0
python - <<'PYTHON' | expect 'serverSelectionTimeoutMS=500: ended by the limit of selection
within pymongo.timeout(3): ended by the limit of the operation
with timeoutMS=3000: ended by the limit of the operation'
import contextlib
import socket
import time

import pymongo
from pymongo.errors import ServerSelectionTimeoutError

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]  # nobody listens there


def ended(title, around, limit, more=""):
    url = f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=500{more}"
    with pymongo.MongoClient(url, connect=False) as client:
        began = time.monotonic()
        try:
            with around:
                client.admin.command("ping")
        except ServerSelectionTimeoutError:
            seconds = time.monotonic() - began
            selection = limit is None or abs(seconds - 0.5) < abs(seconds - limit)
            print(f"{title}: ended by the limit of {'selection' if selection else 'the operation'}")


ended("serverSelectionTimeoutMS=500", contextlib.nullcontext(), None)
ended("within pymongo.timeout(3)", pymongo.timeout(3), 3)
ended("with timeoutMS=3000", contextlib.nullcontext(), 3, "&timeoutMS=3000")
PYTHON
