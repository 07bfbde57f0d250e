"""Private database servers for the demo and the tests: no Docker, no system service, no root, gone with the process."""

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.mongo_fetch import consent_needed
from syncline.embedded.postgres import PrivatePostgres

__all__ = ["PrivateMongo", "PrivatePostgres", "consent_needed"]
