"""What a project's settings have of ours."""

from __future__ import annotations

from django.conf import settings

from syncline.contrib.django.document_databases import DocumentDatabases
from syncline.errors import ConfigError


def document_databases() -> DocumentDatabases:
    """Give the project's ``SYNCLINE_DOCUMENTS``.

    Raises:
        ConfigError: the settings have none.

    """
    found = getattr(settings, "SYNCLINE_DOCUMENTS", None)
    if not isinstance(found, DocumentDatabases):
        raise ConfigError(
            "SYNCLINE_DOCUMENTS is not set",
            hint='SYNCLINE_DOCUMENTS = DocumentDatabases.from_environment(BASE_DIR / "syncline.toml")',
        )
    return found


def has_documents() -> bool:
    """Tell whether the project has collections of documents."""
    return hasattr(settings, "SYNCLINE_DOCUMENTS")


def has_named_databases() -> bool:
    """Tell whether the project has named databases; one without either is to be told so."""
    return hasattr(settings, "SYNCLINE_DATABASES") or not has_documents()
