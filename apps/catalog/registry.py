"""The registry as the settings describe it: for views, API and commands the bucket, for its own
process all that it does.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Case, Value, When

from apps.catalog import reconcile
from apps.catalog.models import ModelVersion
from apps.catalog.signers.actions import record_former, record_signer
from apps.catalog.signers.queries import believed_keys
from apps.catalog.uploads import Registry
from apps.catalog.verification import actions as verification
from apps.catalog.verification.bucket import settings_of
from apps.catalog.verification.models import Verification
from apps.catalog.verification.reconcile import reconcile_verification
from apps.common.clocks import now as clock
from apps.common.model_manifest import trusted_keys
from apps.common.signing import Signer
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import client_from_settings
from apps.integrations.signers import registry_signer

log = logging.getLogger(__name__)
Now = Callable[[], datetime]
MOVING_FIRST = Case(When(status__in=ModelVersion.MOVING, then=Value(0)), default=Value(1))
SCHEDULE_EVERY = timedelta(minutes=1)
BUCKET_EVERY = timedelta(hours=1)


def registry_from_settings() -> Registry:
    """Return the configured bucket and how long its objects are locked."""
    return Registry(client_from_settings(), timedelta(days=settings.REGISTRY_RETENTION_DAYS))


@dataclass
class Keeper:
    """Does what is due, one thing a turn: first what somebody waits for.

    signer: gives the key, which a service may hold that is away. kms_key: as REGISTRY_KMS_KEY.
    every: between two readings of a version's bytes.
    """

    registry: Registry
    signer: Callable[[], Signer]
    kms_key: str = ""
    every: timedelta = timedelta(days=7)
    now: Now = clock
    ticks: Callable[[], float] = time.monotonic
    _next: dict[str, datetime] = field(default_factory=dict)

    def begin(self, former: Path | None) -> None:
        """Note the key that signs, and those that did: while they are not known, nobody can tell
        whether what they signed is right. former: a file of public keys.
        """
        try:
            record_signer(signer=self.signer(), now=self.now())
        except (TemporaryError, PermanentError) as error:
            log.warning("the registry's key cannot be used: %s", error)
        if former is None:
            return
        if not former.exists():
            log.warning("the file of former keys does not exist: %s", former)
        else:
            record_former(keys=trusted_keys(former.read_bytes()), now=self.now())

    def turn(self) -> bool:
        """Do the next thing that is due. False where nothing was."""
        if self._is_time("bucket", BUCKET_EVERY):
            self.check_bucket()
        if self._is_time("schedule", SCHEDULE_EVERY):
            verification.open_due(every=self.every, now=self.now())
        return self._version() or self._verification()

    def check_bucket(self) -> None:
        """Ask S3 for the bucket's settings, and keep what it says."""
        store, problem, found = self.registry.store, "", []
        try:
            found = settings_of(
                store.bucket_facts(),
                kms_key=self.kms_key,
                retention_days=self.registry.retention.days,
            )
        except (TemporaryError, PermanentError) as error:
            problem = str(error)
        kept = [setting.as_json() for setting in found]
        verification.record_bucket(
            bucket=store.bucket, settings=kept, problem=problem, now=self.now()
        )

    def _is_time(self, what: str, every: timedelta) -> bool:
        now = self.now()
        if self._next.get(what, now) > now:
            return False
        self._next[what] = now + every
        return True

    def _version(self) -> bool:
        due = ModelVersion.objects.filter(next_check_at__lte=self.now())
        version = due.select_related("registered_model").order_by(MOVING_FIRST, "pk").first()
        if version is None:
            return False
        reconcile.reconcile_version(
            version=version,
            store=self.registry.store,
            signer=self._believed_signer,
            keys=believed_keys,
            kms_key=self.kms_key,
            now=self.now(),
            clock=self.ticks,
        )
        return True

    def _verification(self) -> bool:
        due = Verification.objects.open().filter(next_check_at__lte=self.now())
        row = due.select_related("version__registered_model").order_by("next_check_at").first()
        if row is None:
            return False
        reconcile_verification(
            row=row,
            store=self.registry.store,
            keys=believed_keys,
            kms_key=self.kms_key,
            now=self.now(),
            clock=self.ticks,
        )
        return True

    def _believed_signer(self) -> Signer:
        """Return the key that signs, noted as such. Raises TemporaryError where it was revoked."""
        signer = self.signer()
        row = record_signer(signer=signer, now=self.now())
        if row.revoked_at is not None:
            raise TemporaryError(
                f"{row} was revoked. Nothing is signed until the settings name another key."
            )
        return signer


def keeper_from_settings() -> Keeper:
    """Return the keeper of this deployment's registry, begun. Raises ValueError where the settings
    name no key.
    """
    registry_signer()
    keeper = Keeper(
        registry_from_settings(),
        registry_signer,
        kms_key=settings.REGISTRY_KMS_KEY,
        every=timedelta(days=settings.VERIFY_EVERY_DAYS),
    )
    former = settings.REGISTRY_PUBLIC_KEYS_FILE
    keeper.begin(Path(former) if former else None)
    return keeper
