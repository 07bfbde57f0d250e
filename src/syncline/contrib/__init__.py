"""Syncline in other people's frameworks."""
