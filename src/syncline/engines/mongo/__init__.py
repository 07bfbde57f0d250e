"""MongoDB behind the ports: fenced writes, what is stored, what it refuses."""
