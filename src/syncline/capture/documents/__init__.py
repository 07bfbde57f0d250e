"""Documents as a source: the mark and a version live in the document, and are written by the same single write.

    orders = wrap(client.shop.orders)      # a Collection or an AsyncCollection; used as before
    orders.update_one({"_id": 7}, {"$push": {"lines": line}})

See ``docs/explanation/documents-as-a-source.md``.
"""

from syncline.capture.documents.wrapped import AsyncMarkedCollection, MarkedCollection, wrap

__all__ = ["AsyncMarkedCollection", "MarkedCollection", "wrap"]
