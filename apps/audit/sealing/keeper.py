"""One turn of whoever keeps the record: it seals what waits, signs what is due, anchors it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from apps.audit.sealing import checkpoints, seal
from apps.audit.sealing.checkpoints import Rewritten
from apps.audit.sealing.keys import keys_from_settings
from apps.common.signing import P256, Kind, Signer, fingerprint
from apps.common.tasks import enqueue_on_commit
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore, anchor_from_settings
from apps.integrations.signers import Lazily, record_signer

log = logging.getLogger(__name__)


@dataclass
class Keeper:
    """Keeps one record. every: between two checkpoints; keep: how long one is locked."""

    store: RegistryStore
    signer: Signer
    origin: str
    every: timedelta
    keep: timedelta
    alarmed: bool = False

    @classmethod
    def from_settings(cls) -> "Keeper":
        """Return the keeper of this deployment. Raises ValueError for a key that cannot sign, or
        that nobody would believe.
        """
        return cls(
            store=anchor_from_settings(),
            signer=_signer_from_settings(),
            origin=settings.AUDIT_ORIGIN,
            every=timedelta(seconds=settings.AUDIT_CHECKPOINT_SECONDS),
            keep=timedelta(days=settings.AUDIT_RETENTION_DAYS),
        )

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

    def _alarm(self, words: str) -> None:
        log.critical("the record was rewritten: %s", words)
        checkpoints.say_problem(words)
        if not self.alarmed:
            enqueue_on_commit("audit.verify_record", whole=True)
        self.alarmed = True


def _signer_from_settings() -> Signer:
    """Return the record's key. Whether it is one that people believe is asked at its first use:
    events are sealed also while a service that holds it is away.
    """
    signer = record_signer()
    if settings.AUDIT_SIGNER == Kind.FILE:
        return _believed(signer)
    return Lazily(lambda: _believed_or_refused(signer))


def _believed_or_refused(signer: Signer) -> Signer:
    try:
        return _believed(signer)
    except ValueError as error:
        raise PermanentError(f"{error}.") from error


def _believed(signer: Signer) -> Signer:
    if signer.public_key.curve.name != P256:
        raise ValueError(f"The record is signed by a key on P-256, and {signer.key_id} is not")
    if fingerprint(signer.public_key) not in {fingerprint(key) for key in keys_from_settings()}:
        raise ValueError(
            f"AUDIT_PUBLIC_KEYS_FILE must hold the public key of {signer.key_id} too: else nobody "
            "believes what is signed"
        )
    return signer
