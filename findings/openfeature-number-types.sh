#!/usr/bin/env bash
# openfeature-sdk 0.10.0, openfeature-provider-flagd 0.6.1 (file mode).
#
# What it does: get_float_details of a flag whose value is the number 10 (no decimal point) is 10.0 with flagd and TYPE_MISMATCH with the SDK's own
# in-memory provider, which tests use; get_integer_details of 12.5 is TYPE_MISMATCH with both. So neither call reads a percentage
# that is sometimes written with a decimal point. And flagd gives a boolean flag as the float 1.0, with reason STATIC and no error code.
# What one would have guessed: a float accepts whole numbers everywhere, as in JSON, and a boolean nowhere.
# Seen:
#     in memory: 10 as float: TYPE_MISMATCH; 12.5 as float: 12.5; true as float: TYPE_MISMATCH; 12.5 as integer: TYPE_MISMATCH
#     flagd: 10 as float: 10.0; 12.5 as float: 12.5; true as float: 1.0; 12.5 as integer: TYPE_MISMATCH
# What helps: ask for a float, and after TYPE_MISMATCH for an integer.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages openfeature-sdk==0.10.0 openfeature-provider-flagd==0.6.1 protobuf==7.36.2
cat >"$folder/flags.json" <<'JSON'
{"flags": {
    "ten": {"state": "ENABLED", "variants": {"it": 10}, "defaultVariant": "it"},
    "half": {"state": "ENABLED", "variants": {"it": 12.5}, "defaultVariant": "it"},
    "yes": {"state": "ENABLED", "variants": {"it": true}, "defaultVariant": "it"}
}}
JSON
python - "$folder/flags.json" <<'PYTHON' | expect 'in memory: 10 as float: TYPE_MISMATCH; 12.5 as float: 12.5; true as float: TYPE_MISMATCH; 12.5 as integer: TYPE_MISMATCH
flagd: 10 as float: 10.0; 12.5 as float: 12.5; true as float: 1.0; 12.5 as integer: TYPE_MISMATCH'
import sys
import time

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider


def said(details):
    return str(details.error_code.value if details.error_code else details.value)


def look(name):
    client = api.get_client()
    until = time.monotonic() + 30
    while client.get_float_details("half", -1.0).error_code and time.monotonic() < until:
        time.sleep(0.05)
    found = {
        "10 as float": client.get_float_details("ten", -1.0),
        "12.5 as float": client.get_float_details("half", -1.0),
        "true as float": client.get_float_details("yes", -1.0),
        "12.5 as integer": client.get_integer_details("half", -1),
    }
    print(f"{name}: " + "; ".join(f"{what}: {said(details)}" for what, details in found.items()))


values = {"ten": 10, "half": 12.5, "yes": True}
api.set_provider(InMemoryProvider({name: InMemoryFlag("it", {"it": value}) for name, value in values.items()}))
look("in memory")
api.set_provider(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=sys.argv[1]))
look("flagd")
api.shutdown()
PYTHON
