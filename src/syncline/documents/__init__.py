"""Document links: the collections of a MongoDB are the truth, their tables in a PostgreSQL are kept equal.

A file is such a link where it declares ``[collections.NAME]``; ``syncline.config.documents`` reads it, and ``opening``
opens both sides. What works on an open link (the worker, copies, verification, …) takes a ``DocumentLink``.
"""
