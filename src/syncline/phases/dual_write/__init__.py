"""Dual writes: MongoDB first, PostgreSQL in the same call under a deadline, or by the worker; nothing is forgotten."""
