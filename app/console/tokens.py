"""Secrets of sessions, links and machines.

Each begins with its tenant, ``tenant.secret``: it is looked up as that tenant, under row-level security, like
everything else. Only digests are stored.
"""

from __future__ import annotations

import hashlib
import secrets

CHARS_MAX = 200


def new_token(tenant: str) -> str:
    return f"{tenant}.{secrets.token_urlsafe(32)}"


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def tenant_of(token: str) -> str:
    """Empty, so nobody's, for what can't be one of ours."""
    tenant, dot, _ = token[:CHARS_MAX].partition(".")
    return tenant if dot else ""
