"""backoffice end to end: the same tests in single and in split mode."""
