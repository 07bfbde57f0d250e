"""Our own tables in the source: what is declared, marks, leases, tasks, notices; their schema and its migrations."""
