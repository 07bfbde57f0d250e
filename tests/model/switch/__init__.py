"""A model of the switch between two databases: gates, applications, links, coordinators."""
