"""The tables, each of one database: by its base."""

from backoffice.models import customers, delivery, integrations, people
from backoffice.models.bases import DataBase, PrimaryBase

__all__ = ["DataBase", "PrimaryBase", "customers", "delivery", "integrations", "people"]
