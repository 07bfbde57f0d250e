"""Capture by SQLAlchemy sessions: what a flush writes is marked in its transaction."""
