"""What a verification asks of a PostgreSQL or CockroachDB that holds the truth."""
