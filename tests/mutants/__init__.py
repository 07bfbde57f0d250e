"""Mutants: each takes one mechanism out of the source text, in a process of its own, and a test must turn red."""
