"""CockroachDB behind the ports: what differs from PostgreSQL, whose protocol it speaks."""
