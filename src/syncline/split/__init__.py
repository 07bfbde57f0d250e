"""One application on several PostgreSQL databases: which there are, and which statement belongs to which."""
