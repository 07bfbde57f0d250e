"""What a role may allow."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """Roles are lists of these. Administrators alone change people and roles: nobody can give themselves more."""

    USERS_READ = "users.read"
    AUDIT_READ = "audit.read"
    CUSTOMERS_READ = "customers.read"
    CUSTOMERS_WRITE = "customers.write"
    INTEGRATIONS_READ = "integrations.read"
    INTEGRATIONS_WRITE = "integrations.write"
    DELIVERY_READ = "delivery.read"
    DELIVERY_WRITE = "delivery.write"
    IMPORTS_READ = "imports.read"
    IMPORTS_WRITE = "imports.write"
