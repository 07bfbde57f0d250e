"""Repositories: one interface, an implementation over MongoDB and one over PostgreSQL, chosen by phase for each call.

See ``docs/how-to/repositories.md``.
"""

from syncline.phases.repositories.abstract import AbstractRepository, Document, writes
from syncline.phases.repositories.conditions import (
    Between,
    Condition,
    Contains,
    Equal,
    Missing,
    Not,
    OneOf,
    StartsWith,
    Where,
)
from syncline.phases.repositories.dual import DualWrites
from syncline.phases.repositories.mongo import MongoRepository
from syncline.phases.repositories.phased import ShadowReader, from_truth, phased, ramp_key
from syncline.phases.repositories.postgres import PostgresRepository

__all__ = [
    "AbstractRepository",
    "Between",
    "Condition",
    "Contains",
    "Document",
    "DualWrites",
    "Equal",
    "Missing",
    "MongoRepository",
    "Not",
    "OneOf",
    "PostgresRepository",
    "ShadowReader",
    "StartsWith",
    "Where",
    "from_truth",
    "phased",
    "ramp_key",
    "writes",
]
