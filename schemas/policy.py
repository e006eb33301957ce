"""What a tenant allows: read by the route agent, kept by the store."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from schemas.event import TenantId, Value
from schemas.tickets import Category, Confidence, Language

# Each policy in memory holds them; isotonic steps are few, whatever the number of reviews.
STEPS_MAX = 20
CURVES_MAX = 20
GRADUATED_MAX = 500


class Mode(StrEnum):
    DRAFT = "draft"  # nothing is sent without a person
    AUTO = "auto"


class Curve(Value):
    """From a raw score to the share of reviewed drafts that were approved at it: a rising staircase."""

    category: Category | None = Field(default=None, description="None: of every category without a curve of its own")
    language: Language | None = Field(default=None, description="None: of every language without a curve of its own")
    reviews: int = Field(ge=0)
    raw_from: Annotated[tuple[Confidence, ...], Field(min_length=1, max_length=STEPS_MAX)]
    confidence: Annotated[tuple[Confidence, ...], Field(min_length=1, max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if len(self.raw_from) != len(self.confidence):
            raise ValueError("raw_from and confidence differ in length")
        if any(a >= b for a, b in pairwise(self.raw_from)) or any(a > b for a, b in pairwise(self.confidence)):
            raise ValueError("a curve must rise")
        return self


class Calibration(Value):
    """Fitted on a tenant's reviews. It holds for raw scores of its ``formula`` only."""

    version: int = Field(ge=1)
    formula: int = Field(description="of agents/confidence.py, when it was fitted")
    reviewed_until: AwareDatetime
    curves: Annotated[tuple[Curve, ...], Field(min_length=1, max_length=CURVES_MAX)]


class Graduated(Value):
    """Opened by a person: replies of low priority in this category and locale may be sent."""

    category: Category
    locale: Language = Field(description="as the verdict names the customer's language")


class TenantPolicy(Value):
    """A new tenant is in draft mode with nothing graduated and no calibration."""

    tenant: TenantId
    mode: Mode = Mode.DRAFT
    graduated: tuple[Graduated, ...] = Field(default=(), max_length=GRADUATED_MAX)
    halted: bool = Field(default=False, description="the auditor, or a person, stopped all sending")
    confidence_min: float = Field(default=0.9, ge=0, le=1)
    calibration: Calibration | None = Field(default=None, description="None: confidence is uncalibrated")
    mask_personal_data: bool = Field(default=False, description="before a ticket's text goes to a provider")
    rerank: bool = Field(default=False, description="a model picks the passages out of more: a paid call a ticket")

    def has_graduated(self, category: Category, locale: str) -> bool:
        return any(one.category is category and one.locale == locale for one in self.graduated)
