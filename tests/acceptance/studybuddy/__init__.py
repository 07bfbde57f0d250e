"""The reference application, end to end through HTTP, on real engines with a real worker."""
