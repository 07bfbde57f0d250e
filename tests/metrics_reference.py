"""``docs/reference/metrics.md``, written from the catalogue, the thresholds and the alert rules."""

from __future__ import annotations

from pathlib import Path

import yaml

from syncline.telemetry.catalogue import SPECS, Kind, Spec, Where

RULES = Path(__file__).parents[1] / "deploy" / "monitoring" / "alerts.yml"

METRICS = """\
<!-- Written by `python -m tests.reference`; edit the catalogue in src/syncline/telemetry instead. -->

# Metrics and alerts

`syncline worker --metrics-port 9187` serves a worker's metrics at `http://127.0.0.1:9187/metrics` (`--metrics-host` for another
address) and a probe at `/health`; an application that [mounts the routers](../how-to/mount-the-routers.md) serves its own at
`/metrics`. Needs `pip install '.[metrics]'`.

```yaml
scrape_configs:
  - job_name: studybuddy
    static_configs: [{targets: ["127.0.0.1:8000"]}]
  - job_name: syncline-worker
    static_configs: [{targets: ["127.0.0.1:9187"]}]
rule_files: [alerts.yml]          # deploy/monitoring/alerts.yml
```

Labels are bounded by what is declared: entities, routes (their templates), databases. No key, user or message is ever a label.
Where a worker serves links with names, each of their figures has a label `link` beside those that are listed.

"""
SCRAPED = """
## Read from the databases at each scrape

By whichever process is scraped, so take `max` over instances. A look answers within 2 s whatever the databases do, and serves
all who ask within a second. What is not known, because the primary does not answer, is left out: it never shows an old value.

"""
WORKER = """
## Counted by a worker

A few microseconds a batch, nothing per record.

"""
APPLICATION = """
## Counted by an application

Probes and `/metrics` itself are left out of the request times. With several processes under one server set
`PROMETHEUS_MULTIPROC_DIR`, as prometheus-client asks for; their counts are then shown together.

"""
EITHER = """
## Counted by both

A worker times what it asks of MongoDB; an application what its SQLAlchemy engine and, where its client has the listener
`telemetry.queries.MongoTimer`, MongoDB were asked.

"""
ALERTS = """
## Alerts

`deploy/monitoring/alerts.yml` has the names and bounds of `GET /api/health/sync` and of `syncline status`; as there only the
higher of two fires. `promtool test rules deploy/monitoring/alerts_test.yml` tests them. The
[runbook](../how-to/runbook.md) takes each from symptom to command. The thresholds are targets: lag below 5 s, queue below
1,000, failed 0, P95 below 200 ms.

| alert | severity | fires when |
|---|---|---|
"""
DASHBOARD = """
## Dashboard

Import `deploy/monitoring/dashboard.json` into Grafana and choose the data source: status, lag, queue and failures with their
bounds; events, outcomes, retries, batches and lanes; API latency (P50, P95, P99, by route), query times, cache and tokens.
"""


def metrics() -> str:
    """Write the page."""
    parts = [METRICS.rstrip("\n"), "\n"]
    headings = {Where.SCRAPE: SCRAPED, Where.WORKER: WORKER, Where.APPLICATION: APPLICATION, Where.EITHER: EITHER}
    for where, heading in headings.items():
        parts += [heading, "| metric | type | labels | meaning |\n|---|---|---|---|\n"]
        parts += [_line(spec) for spec in SPECS if spec.where is where]
    return "".join([*parts, ALERTS, *_alerts(), DASHBOARD])


def _line(spec: Spec) -> str:
    labels = ", ".join(f"`{label}`" for label in spec.labels) or "none"
    bounds = f" Buckets: {', '.join(f'{bound:g}' for bound in spec.buckets)}." if spec.kind is Kind.HISTOGRAM else ""
    return f"| `{spec.name}` | {spec.kind.value} | {labels} | {spec.help}{bounds} |\n"


def _alerts() -> list[str]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [
        f"| `{rule['alert']}` | {rule['labels']['severity']} | `{' '.join(rule['expr'].split())}`"
        f"{' for ' + rule['for'] if 'for' in rule else ''} |\n"
        for group in groups
        for rule in group["rules"]
    ]
