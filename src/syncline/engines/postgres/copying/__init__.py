"""Copying tables from one PostgreSQL to another, in ranges of keys."""
