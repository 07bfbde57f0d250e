"""The protocol of the relay as an executable specification, explored exhaustively; see docs/explanation/model.md.

``python -m tests.model`` (``make model``) runs it.
"""
