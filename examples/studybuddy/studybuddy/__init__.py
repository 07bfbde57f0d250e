"""Studybuddy: an application whose truth is in PostgreSQL and whose bulk reads come from MongoDB."""
