"""Bring marked documents to the other side: as many at once as there are, without leases."""
