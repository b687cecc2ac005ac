"""One turn of whoever keeps the record: it seals what waits, signs what is due, anchors it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from apps.audit.models import Verification
from apps.audit.sealing import checkpoints, seal
from apps.audit.sealing.checkpoints import Keys, Rewritten
from apps.audit.sealing.verify import verify
from apps.common.signing import FileSigner, Signer, read_public_keys
from apps.common.tasks import enqueue_on_commit
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore, anchor_from_settings

log = logging.getLogger(__name__)


@dataclass
class Keeper:
    """Keeps one record. every: between two checkpoints; keep: how long one is locked."""

    store: RegistryStore
    signer: Signer
    origin: str
    every: timedelta
    keep: timedelta
    former: Keys = ()
    alarmed: bool = False

    @classmethod
    def from_settings(cls) -> "Keeper":
        """Return the keeper of this deployment. Raises ValueError for a key that cannot sign."""
        former = settings.AUDIT_FORMER_KEYS_FILE
        return cls(
            store=anchor_from_settings(),
            signer=FileSigner.load(settings.AUDIT_SIGNING_KEY_FILE),
            origin=settings.AUDIT_ORIGIN,
            every=timedelta(seconds=settings.AUDIT_CHECKPOINT_SECONDS),
            keep=timedelta(days=settings.AUDIT_RETENTION_DAYS),
            former=read_public_keys(Path(former).read_bytes()) if former else (),
        )

    @property
    def keys(self) -> Keys:
        """Return the keys that may have signed a checkpoint."""
        return [self.signer.public_key, *self.former]

    def turn(self, *, now: datetime) -> int:
        """Do what is due; return how many events were sealed. What the anchor refuses is said on
        the page of the record and tried again; a record that was rewritten is signed no more, and
        is verified at once.
        """
        sealed = seal.seal_all(now=now)
        try:
            if checkpoints.is_due(every=self.every, now=now):
                checkpoints.sign(origin=self.origin, signer=self.signer, now=now)
            checkpoints.anchor_waiting(self.store, keep=self.keep, now=now)
        except (TemporaryError, PermanentError) as error:
            checkpoints.say_problem(str(error))
        except Rewritten as error:
            self._alarm(str(error))
        return sealed

    def verify(self, *, now: datetime) -> Verification:
        """Read the whole record against its anchor. Raises TemporaryError or PermanentError where
        the anchor cannot be read.
        """
        return verify(self.store, origin=self.origin, keys=self.keys, now=now)

    def _alarm(self, words: str) -> None:
        log.critical("the record was rewritten: %s", words)
        checkpoints.say_problem(words)
        if not self.alarmed:
            enqueue_on_commit("audit.verify_record")
        self.alarmed = True
