"""What a call says: who makes it, what it asks for, and every text in it. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from apps.prompts.subjects import Subject


@dataclass(frozen=True)
class Caller:
    """Who calls, from the verified token's own claims, never from headers."""

    subject: str
    team: str
    cost_center: str
    expires_at: datetime


@dataclass(frozen=True)
class Text:
    """One text of a request. where: its place, as "messages[3].content[0].text"; role: of the
    message it stands in, "" where there is none.
    """

    where: str
    role: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Call:
    """A call that could be read. n: answers asked for, at least 1, those that the engine makes to
    choose from counted in; max_tokens: of each answer, None where the caller set none. body: as the
    caller sent it.
    """

    id: UUID  # the request id, and the usage event's
    at: datetime
    caller: Caller
    path: str
    operation: str  # apps.metering.models.Operation
    model: str
    stream: bool
    n: int
    max_tokens: int | None
    has_images: bool
    continuous_usage: bool
    texts: tuple[Text, ...] = field(repr=False)
    body: bytes = field(repr=False)
    service_class: str = "interactive"
    subject: Subject | None = None  # the member or case that the caller named, as a keyed hash
