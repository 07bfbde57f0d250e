"""The harness for users' mappings under test: pytest is run over folders as a user has them."""
