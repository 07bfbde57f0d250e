"""Taskboard: teams and their tasks, on MongoDB, on the way to PostgreSQL."""
