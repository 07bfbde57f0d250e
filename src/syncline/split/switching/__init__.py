"""The switch: which of two databases accepts writes to the tables that move, and who follows it."""
