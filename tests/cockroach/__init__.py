"""A PostgreSQL that refuses what CockroachDB refuses and fails as it fails. No CockroachDB binary is to be had here.

``simulator.sql`` changes one database for the role ``crdb``; ``proxy.py`` stands in front of it and deals with what only
the text of a statement shows; ``server.py`` starts both. docs/explanation/cockroachdb.md says what that proves.
"""
