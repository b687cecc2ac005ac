"""`make bench-audit`: how fast the record is sealed, verified here, taken away and verified there.

EVENTS events are written straight into Postgres; everything after that is the product's own code,
and the offline verifier. Postgres runs without fsync, as in the tests. The reference of sealing is
a bare COPY of the same seals into a table without guards; that of the offline verifier is one
SHA-256 of each of the same lines. CHECKPOINTS checkpoints (a year has 105,120) are put into a real
S3 server where the machine has one, and read as a night does.
"""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from tests.audit.offline import VERIFIER
from tests.benchmarks.report import Result, show
from tests.benchmarks.stopwatch import timed

ORIGIN = "bench.example/audit"
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
COLUMNS = (
    "id, occurred_at, recorded_at, actor, actor_name, action, target_type, target_id, "
    "target_label, data, request_id, content_hash"
)
ALONE = "CREATE UNLOGGED TABLE bench_seals AS SELECT * FROM audit_auditseal WHERE false"
SEALS = ("sequence", "event_id", "leaf", "previous", "hash", "sealed_at")
AGAIN = f"COPY bench_seals ({', '.join(SEALS)}) FROM STDIN"


def main() -> int:
    """Measure, and print the figures."""
    events = int(os.environ.get("EVENTS") or 1_000_000)
    begun = time.perf_counter()
    prepare()
    write(events)
    print(f"{time.perf_counter() - begun:5.0f} s  {events:,} events", file=sys.stderr, flush=True)
    results = [sealing(events), verifying_here(events)]
    with tempfile.TemporaryDirectory(prefix="qm-audit-") as folder:
        results += taking_away(events, Path(folder))
        results += reading_the_anchor(
            int(os.environ.get("CHECKPOINTS") or 10_000), Path(folder) / "s3"
        )
    show("audit", results, size=f"{events:,} events")
    return 0


def prepare() -> None:
    """Migrate."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)


def write(count: int) -> None:
    """Write events as the portal would, all at once."""
    from django.db import connection
    from psycopg.types.json import Jsonb

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        with cursor.copy(f"COPY audit_auditevent ({COLUMNS}) FROM STDIN") as rows:
            for event in made(count):
                values = [getattr(event, name.strip()) for name in COLUMNS.split(",")]
                values[9] = Jsonb(values[9])
                rows.write_row(values)


def made(count: int) -> Iterator[object]:
    """Yield events of the usual size: a decision about a grant."""
    from apps.audit.content import content_hash
    from apps.audit.models import Action, AuditEvent

    for number in range(count):
        at = NOW + timedelta(milliseconds=number)
        event = AuditEvent(
            occurred_at=at,
            recorded_at=at,
            actor=f"person{number % 97}",
            actor_name="Maya Okafor",
            action=Action.GRANT_CREATED,
            target_type="Grant",
            target_id=str(number),
            target_label="claims-review may call prior-auth-extract",
            data={"tokens_per_minute": 60_000, "reason": "Fits the purpose.", "number": number},
            request_id=f"{number:032x}",
        )
        event.content_hash = content_hash(event)
        yield event


def sealing(events: int) -> Result:
    """Measure how long sealing everything takes."""
    import psycopg

    from apps.audit.models import AuditSeal
    from apps.audit.sealing.seal import seal_all

    seconds = timed(lambda: seal_all(now=NOW))
    rows = list(AuditSeal.objects.values_list(*SEALS))
    with psycopg.connect(os.environ["MIGRATIONS_DATABASE_URL"]) as owner:
        owner.execute(ALONE)

        def copy() -> None:
            with owner.cursor().copy(AGAIN) as copying:
                for row in rows:
                    copying.write_row(row)

        alone = timed(copy)
    goal = 60 * events / 1_000_000
    return Result("seal everything", round(seconds, 1), "s", goal, round(seconds / alone, 2))


def verifying_here(events: int) -> Result:
    """Measure how fast the portal reads and hashes the whole record again."""
    from apps.audit.sealing.findings import Found
    from apps.audit.sealing.verify import read_entries

    found = Found()
    seconds = timed(lambda: read_entries(0, events, {}, found))
    if found.count:
        raise RuntimeError(f"the record is not what was written: {found.findings[0].says}")
    return Result(
        "verify in the portal", round(events / seconds), "entries/s", 10_000, None, "higher"
    )


def taking_away(events: int, folder: Path) -> list[Result]:
    """Measure how fast the record is exported, and verified by the program outside."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from apps.audit.models import Checkpoint
    from apps.audit.sealing import checkpoints, export
    from apps.common.signing import FileSigner, public_pem

    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    checkpoints.sign(origin=ORIGIN, signer=signer, now=NOW)
    Checkpoint.objects.update(anchored_at=NOW)
    (folder / "key.pem").write_bytes(public_pem(signer.public_key))
    part = folder / "part.qmr"

    def write_part() -> None:
        with part.open("w", encoding="utf-8") as file:
            file.writelines(export.part(0, events, origin=ORIGIN))

    exporting = timed(write_part)
    verifying = timed(lambda: VERIFIER.run(str(part), str(folder / "key.pem"), []))
    lines = part.read_bytes().splitlines()
    hashing = timed(lambda: [hashlib.sha256(line).digest() for line in lines])
    ratio = round(verifying / hashing, 2)
    return [
        Result("export", round(events / exporting), "entries/s", 10_000, None, "higher"),
        Result("verify offline", round(events / verifying), "entries/s", 100_000, ratio, "higher"),
        Result("bytes per entry of an export", round(part.stat().st_size / events), "bytes", 1_000),
    ]


def reading_the_anchor(checkpoints: int, folder: Path) -> list[Result]:
    """Measure how long a night's reading of the checkpoints in S3 takes, their signatures
    included; nothing where there is no S3 server.
    """
    from tests.integrations import versitygw

    if not versitygw.binary():
        print("no versitygw: the anchor is not measured", file=sys.stderr, flush=True)
        return []
    with versitygw.running(folder) as port:
        os.environ.update(versitygw.environment(port))
        return _night(checkpoints)


def _night(checkpoints: int) -> list[Result]:
    from concurrent.futures import ThreadPoolExecutor

    from cryptography.hazmat.primitives.asymmetric import ec

    from apps.audit.sealing.checkpoints import Head, key_of, text_of
    from apps.audit.sealing.findings import Found
    from apps.audit.sealing.spans import NIGHTS
    from apps.audit.sealing.verify import Anchor, _held
    from apps.common.signing import FileSigner, signed_note
    from apps.integrations.s3.client import RegistryStore
    from tests.integrations import versitygw

    store = RegistryStore(bucket="bench-record", name="anchor of the record")
    versitygw.make_bucket(store)
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))

    def put(size: int) -> None:
        text = text_of(ORIGIN, Head(size, size.to_bytes(32)))
        note = signed_note(text, name=ORIGIN, signer=signer).encode()
        store.put_new(key_of(size), note, locked_until=datetime.now(UTC) + timedelta(minutes=5))

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(put, range(1, checkpoints + 1)))

    def read() -> None:
        found = Found()
        anchor = Anchor(store, ORIGIN, [signer.public_key], _held(store, found))
        heads = anchor.heads(list(anchor.held)[: checkpoints // NIGHTS + 288], found)
        if found.count or len(heads) < checkpoints // NIGHTS:
            raise RuntimeError("the anchor is not what was put into it")

    seconds = timed(read)
    goal = round(600 * checkpoints / 105_120, 1)
    name = f"read a night's share of {checkpoints:,} checkpoints"
    return [Result(name, round(seconds, 1), "s", goal)]


if __name__ == "__main__":
    raise SystemExit(main())
