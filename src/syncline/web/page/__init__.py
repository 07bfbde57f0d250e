"""The operations page: what the synchronisation does now and did in the last hour, and the parked records in hand."""

from syncline.web.page.documents import DocumentPage
from syncline.web.page.page import OperationsPage

__all__ = ["DocumentPage", "OperationsPage"]
