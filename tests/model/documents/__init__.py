"""A model of documents as a source: the mark and the version live in the document; several carriers, no leases."""
