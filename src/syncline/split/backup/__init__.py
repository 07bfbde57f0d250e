"""Backups of a named database: made by pg_dump, checked by content, read back and rehearsed."""
