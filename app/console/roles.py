"""What users and machines may do."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Scope(StrEnum):
    """Of a machine's token."""

    READ = "tickets:read"
    DECIDE = "tickets:decide"
    FEEDBACK = "feedback:write"
    AUDIT = "audit:read"
