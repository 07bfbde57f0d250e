"""The switch of a collection between MongoDB and PostgreSQL: gates on both sides, the links between, and who reads."""
