"""Documents in a PostgreSQL: definitions of their tables, their rows written and read, a look at what is there."""
