"""PostgreSQL as a target: users' own tables behind the fence of ``docs/explanation/sql-fence.md``."""
