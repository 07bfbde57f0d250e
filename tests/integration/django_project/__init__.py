"""A Django project over named databases, run in a process of its own: Django is configured once a process."""
