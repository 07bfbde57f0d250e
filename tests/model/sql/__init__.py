"""The fence of an SQL target: batches are transactions on its server; see docs/explanation/sql-fence.md."""
