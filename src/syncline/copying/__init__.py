"""The initial copy of tables into an SQL target, by ranges; see ``docs/explanation/copy.md``."""
