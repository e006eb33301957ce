"""What a tenant allows: read by the route agent, kept by the store."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.event import TenantId, Value
from schemas.tickets import Category


class Mode(StrEnum):
    DRAFT = "draft"  # nothing is sent without a person
    AUTO = "auto"


class TenantPolicy(Value):
    """A new tenant is in draft mode with no graduated category."""

    tenant: TenantId
    mode: Mode = Mode.DRAFT
    graduated: tuple[Category, ...] = Field(default=(), description="categories whose replies may be sent")
    confidence_min: float = Field(default=0.9, ge=0, le=1)
    calibrated: bool = Field(default=False, description="confidence was fitted on this tenant's reviewed tickets")
    mask_personal_data: bool = Field(default=False, description="before a ticket's text goes to a provider")
