"""The commands, where the file declares collections: the same options, JSON and exit statuses as for rows."""
