"""The schema of tables that move from one PostgreSQL to another: planned, made over there, compared, kept in step.

The statements are the server's own: each definition is what ``pg_get_constraintdef`` and its like say, which is what
pg_dump prints, too. Why not pg_dump itself: see docs/how-to/move-the-schema.md.
"""
