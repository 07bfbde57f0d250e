"""The move of a named database's tables to a database of their own: copied, followed, switched, and brought back.

Nothing of it is written by hand: which tables move is what the configuration says of the database, and the link's
name, entities and settings are derived from that. What a move has come to stands in the source's database.
"""
