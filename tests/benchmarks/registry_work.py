"""One thing of `make bench-registry`, in a process of its own: `… registry_work NAME PATH`.

Prints its seconds and the most memory the process had, as JSON. What has to be there before is made
before the clock starts.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

KEY = "weights"


def main(name: str, path: Path) -> None:
    """Do it, and print what it took."""
    do = ALONE[name](path) if name in ALONE else of_the_product(name, path)
    begun = time.perf_counter()
    do()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": round(seconds, 3), "memory_mib": round(most_memory(), 1)}))


def most_memory() -> float:
    """Return the most memory that this process had, in MiB. Not by getrusage, which tells of the
    process that started it, too.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


# -- What the machine can --------------------------------------------------------------------------


def hashing(path: Path) -> Callable[[], object]:
    """Return what digests the file."""
    from tests.benchmarks.registry import digest

    return lambda: digest(path)


def uploading(path: Path) -> Callable[[], object]:
    """Return boto3's own upload."""
    from tests.benchmarks.registry import BARE

    s3 = _boto3()
    return lambda: s3.upload_file(str(path), BARE, KEY)


def getting(path: Path) -> Callable[[], object]:
    """Return what reads the object and throws it away."""
    from tests.benchmarks.registry import BARE, MIB

    s3 = _boto3()

    def read() -> None:
        for _ in s3.get_object(Bucket=BARE, Key=KEY)["Body"].iter_chunks(MIB):
            pass

    return read


def dropping(path: Path) -> Callable[[], object]:
    """Return what takes the object away again."""
    from tests.benchmarks.registry import BARE

    s3 = _boto3()
    return lambda: s3.delete_object(Bucket=BARE, Key=KEY)


def _boto3():
    import boto3

    return boto3.client("s3")


ALONE = {"hash": hashing, "upload": uploading, "get": getting, "drop": dropping}


# -- The product -----------------------------------------------------------------------------------


def of_the_product(name: str, folder: Path) -> Callable[[], object]:
    """Return what the product does: publish the folder, sign what was published last, or verify."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django

    import tests.environment  # noqa: F401 (what the settings need; the database is the caller's)

    django.setup()
    from apps.catalog.models import ModelVersion

    if name == "publish":
        return _publish(folder)
    version = ModelVersion.objects.order_by("-pk").select_related("registered_model").first()
    return _sign(version) if name == "sign" else _verify(version)


def _publish(folder: Path) -> Callable[[], object]:
    from django.utils.timezone import now

    from apps.accounts.models import Role
    from apps.catalog import uploads
    from apps.catalog.registry import registry_from_settings
    from tests.factories import (
        CostCenterFactory,
        RegisteredModelFactory,
        TeamFactory,
        UserFactory,
    )

    stamp = time.time_ns()
    cost_center = CostCenterFactory(code=f"CC-{stamp}")
    team = TeamFactory(slug=f"bench-{stamp}", cost_center=cost_center)
    owner = UserFactory(
        username=f"bench-{stamp}",
        subject=f"bench-{stamp}",
        team=team,
        with_roles=[Role.MODEL_OWNER],
    )
    model = RegisteredModelFactory(name=f"b{stamp % 10**12}", owner_team=team, created_by=owner)
    registry = registry_from_settings()
    return lambda: uploads.publish_folder(
        registered_model=model, folder=folder, note="", actor=owner, registry=registry, now=now()
    )


def _sign(version) -> Callable[[], object]:
    """Return what reads everything back, signs and locks."""
    return _keeper(version, "VERIFYING")


def _verify(version) -> Callable[[], object]:
    return _keeper(version, "VERIFIED")


def _keeper(version, until: str) -> Callable[[], object]:
    from apps.catalog.registry import Keeper, registry_from_settings
    from apps.integrations.signers import registry_signer

    keeper = Keeper(registry_from_settings(), registry_signer, every=timedelta(days=7))

    def run() -> None:
        while version.status != until:
            keeper._version()
            version.refresh_from_db()
            if version.status in ("QUARANTINED", "FAILED"):
                raise SystemExit(version.message)

    return run


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
