"""Capture by triggers: what must be, what is, and the installation between them."""
