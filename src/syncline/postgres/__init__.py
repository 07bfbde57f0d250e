"""Speaking to PostgreSQL: connections, whose session it is, its catalogue, our statements' files. No table of ours."""
