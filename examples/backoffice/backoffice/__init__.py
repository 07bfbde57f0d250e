"""A back office on two databases that may be one: customers and people in PRIMARY, reference data in DATA."""
