"""What the commands of document links share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from syncline.cli.boundary import invocation
from syncline.cli.common import keep_secret
from syncline.errors import ConfigError

if TYPE_CHECKING:
    from syncline.config.documents import Documents


def documents_from(config: Path | None, **refused: object) -> Documents | None:
    """Load what the file declares of documents; ``None``: it declares no collection.

    Args:
        config: the file.
        refused: options of the command that mean nothing here, by name, with what was given.

    Raises:
        ConfigError: it is not valid; ``--link``, or one of these options, was given.

    """
    from syncline.config.documents import declares_collections, load_documents

    if not declares_collections(config):
        return None
    if (link := invocation.get().link) is not None:
        raise ConfigError(f"--link {link}: a file with [collections] is one link, without a name", hint="leave it out")
    for name, given in refused.items():
        if given:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} means nothing where documents are the source", hint="leave it out")
    documents = load_documents(config)
    for url in documents.urls:
        keep_secret(url)
    return documents
