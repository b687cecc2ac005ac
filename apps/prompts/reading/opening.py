"""Opens a record's texts, wherever their ciphertext lies. Who may, and what must be noted before,
is the business of actions.read_record.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from apps.common.envelope import TAG_BYTES, NotOpened, Sealed, Wrapper, open_sealed
from apps.common.errors import DomainError
from apps.integrations.s3.client import RegistryStore
from apps.prompts.capture.keyring import bound_to as key_bound_to
from apps.prompts.capture.recorder import bound_to
from apps.prompts.models import Phase, PromptRecord, PromptText


class Unreadable(DomainError):
    """The record was erased, or does not open."""

    code = "unreadable"


@dataclass(frozen=True)
class Opened:
    """A record in plain. None: that half was not kept."""

    request: bytes | None = field(repr=False)
    answer: bytes | None = field(repr=False)


def open_record(
    record: PromptRecord, *, wrapper: Wrapper, bucket: Callable[[], RegistryStore]
) -> Opened:
    """Return both halves of a record. bucket: asked for only where they lie in S3.

    Raises Unreadable where its key is destroyed or it does not open; TemporaryError, PermanentError
    of the key service or S3.
    """
    halves = {
        text.phase: _open(text, record, wrapper, bucket)
        for text in record.texts.select_related("data_key")
    }
    return Opened(halves.get(Phase.REQUEST), halves.get(Phase.ANSWER))


def _open(
    text: PromptText, record: PromptRecord, wrapper: Wrapper, bucket: Callable[[], RegistryStore]
) -> bytes:
    key = text.data_key
    if key.destroyed_at is not None:
        raise Unreadable(
            f"The key of this record was destroyed on {key.destroyed_at:%d %b %Y}: nobody reads it."
        )
    bound = bound_to(record.pk, record.call_id, text.phase)
    try:
        plain = wrapper.unwrap(bytes(key.wrapped), key_bound_to(key.pk))
        sealed = Sealed(bytes(text.nonce), _ciphertext(text, record, bucket))
        return open_sealed(plain, sealed, bound=bound)
    except NotOpened:
        raise Unreadable(
            "This record does not open: it, or its key, is not what was written."
        ) from None


def _ciphertext(
    text: PromptText, record: PromptRecord, bucket: Callable[[], RegistryStore]
) -> bytes:
    if text.offset is None or record.pack is None:
        return bytes(text.ciphertext)
    size = text.size_bytes + TAG_BYTES
    pack = record.pack
    return bucket().read_range(
        pack.object_key, first=text.offset, size=size, version_id=pack.version_id
    )
