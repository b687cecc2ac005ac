"""Makes the evidence packs that were asked for.

Each step can be repeated: under the same checkpoint the same rows give the same bytes, and an
object that is there with them is taken as written. So a worker may die at any line.
"""

import logging
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from django.utils import timezone

from apps.common.leases import retry_at, take_lease
from apps.integrations.errors import PermanentError, TemporaryError
from apps.oversight.evidence import actions, storage
from apps.oversight.evidence.make import checkpoint_for, make, steps_of
from apps.oversight.evidence.models import EvidencePack
from apps.oversight.evidence.sources import Sources

NOT_WHOLE = (
    "The record lacks entries that the proofs are made of. Have it verified, and tell your "
    "platform team."
)
FAULT = (
    "Something went wrong in the portal itself, again and again. Your platform team finds it in "
    "the worker's log."
)
MOST_TRIES = 5
log = logging.getLogger(__name__)


def make_evidence(
    *,
    pack: EvidencePack,
    sources: Sources,
    now: datetime,
    clock: Callable[[], datetime] = timezone.now,
) -> bool:
    """Make one pack; False when it is not due. The lease is taken anew before each step, for a long
    month takes longer than one.
    """
    if not take_lease(pack, now=now):
        return False
    try:
        with tempfile.TemporaryDirectory(prefix="quartermaster-evidence-") as folder:
            _make(pack, sources, Path(folder), clock)
    except TemporaryError as error:
        actions.record_waiting(
            pack=pack,
            reason="WAITING",
            message=f"{error} Trying again by itself.",
            at=retry_at(pack, now=now, retry_after=error.retry_after),
            now=now,
        )
    except PermanentError as error:
        actions.record_failed(pack=pack, reason="STORING", message=str(error), now=now)
    except LookupError:
        log.exception("the evidence pack %s cannot be proven", pack.pk)
        actions.record_failed(pack=pack, reason="RECORD", message=NOT_WHOLE, now=now)
    except Exception:  # noqa: BLE001 - a fault of ours: without an end it would be made for ever
        log.exception("the evidence pack %s cannot be made", pack.pk)
        if pack.attempts >= MOST_TRIES:
            actions.record_failed(pack=pack, reason="FAULT", message=FAULT, now=now)
        else:
            again = "Something went wrong in the portal itself. Trying again by itself."
            at = retry_at(pack, now=now)
            actions.record_waiting(pack=pack, reason="WAITING", message=again, at=at, now=now)
    return True


def _make(
    pack: EvidencePack, sources: Sources, folder: Path, clock: Callable[[], datetime]
) -> None:
    checkpoint = checkpoint_for(pack)
    actions.record_begun(pack=pack, checkpoint_size=checkpoint.size, total=steps_of(pack))
    done = 0

    def tell(words: str) -> None:
        nonlocal done
        actions.record_progress(pack=pack, done=done, working_on=words, now=clock())
        done += 1

    file = make(pack, checkpoint, sources, folder, tell)
    tell("Store it, and read it back")
    key, version_id, sha256 = storage.keep(sources.archive, pack, file)
    actions.record_made(
        pack=pack,
        key=key,
        version_id=version_id,
        sha256=sha256,
        size_bytes=file.stat().st_size,
        now=clock(),
    )
