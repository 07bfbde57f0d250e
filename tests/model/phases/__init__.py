"""A model of MongoDB and PostgreSQL as the sides of a switch: documents forward, rows back, gates on both, leases, readers."""
