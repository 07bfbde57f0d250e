"""The routes, a module per record."""
