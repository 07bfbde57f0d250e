"""Adapters of databases, behind the ports. ``opening`` knows them all."""
