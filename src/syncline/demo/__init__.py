"""``syncline demo``: two private databases, live traffic, a worker that is killed, and the proof at the end."""
