"""What every event on the bus has, and how one event follows from another."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

_NAMESPACE = UUID("6d3cbb0e-8f0a-5f0e-9d52-5a7d5e1f0c11")

# No "/" in a tenant: the record key "tenant/conversation" can then be read back one way only.
TenantId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
EventId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Value(BaseModel):
    """A part of an event. Unknown fields are ignored, so that an older reader accepts a newer minor schema."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Value):
    """The payload of a record. ``VERSION`` is the major schema version: a reader refuses a newer one."""

    TOPIC: ClassVar[str]
    VERSION: ClassVar[int] = 1

    event_id: EventId
    root_id: EventId = Field(description="event id of the TicketReceived that this follows from")
    source: str = Field(min_length=1, max_length=200, description="CloudEvents source of the root event")
    tenant: TenantId
    conversation: str = Field(min_length=1, max_length=200)
    accepted_at: AwareDatetime = Field(description="when the ticket came in at the door")

    @model_validator(mode="before")
    @classmethod
    def _root_is_itself(cls, data: Any) -> Any:
        if isinstance(data, dict) and "root_id" not in data and "event_id" in data:
            return {**data, "root_id": data["event_id"]}
        return data

    @property
    def key(self) -> bytes:
        """The record key: all events of one conversation share it, so they share a partition and an order."""
        return conversation_key(self.tenant, self.conversation)

    @classmethod
    def following(cls, parent: Event, **fields: Any) -> Self:
        """The event of this class that follows from ``parent``: its shared fields, and ``fields`` on top.

        The id derives from the parent's, so that a stage run twice on one event gives one id.
        """
        shared = {name: getattr(parent, name) for name in cls.model_fields if hasattr(parent, name)}
        return cls(**{**shared, "event_id": derived_id(parent.event_id, cls.TOPIC), **fields})


def conversation_key(tenant: str, conversation: str) -> bytes:
    return f"{tenant}/{conversation}".encode()


def derived_id(parent_id: str, name: str) -> str:
    """UUIDv5 of ``parent_id`` and ``name``: the same every time."""
    return str(uuid5(_NAMESPACE, f"{parent_id}\n{name}"))
