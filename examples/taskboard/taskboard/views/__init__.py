"""A module for each kind of record."""
