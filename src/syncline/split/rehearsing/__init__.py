"""A rehearsal of a whole move, in scratch databases: the serving ones are read, and nothing else."""
