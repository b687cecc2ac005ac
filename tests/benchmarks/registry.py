"""`make bench-registry`: how fast a version is published and verified, beside what the machine can.

SIZE_GIB GiB of synthetic weights (a safetensors file of at most 4 GiB each) go to a real S3 server
on this machine's disk. Four things are measured beside one another, each in a process of its own,
turn about, TURNS times; the best of each counts, because whatever else the machine does only makes
one slower:

    hash     hashlib.sha256 over the file alone
    get      a bare GET of the object, thrown away
    upload   boto3's own upload_file of the same file
    publish  the product: every byte digested and sent, until the upload is closed
    verify   the product: every byte of the published version read again and compared by ranges

The same at MORE_GIB shows whether memory grows with size. Postgres runs without fsync, as in the
tests. Needs versitygw, and twice MORE_GIB of disk beside the files.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from tests.benchmarks.report import Result, show

GIB, MIB = 1024**3, 1024**2
SHARD_GIB = 4
BLOCK = 8 * MIB
BARE = "bare-objects"
VERIFY_GOAL, PUBLISH_GOAL = 0.85, 0.80
MEMORY_MIB, SPREAD_MIB = 200, 10


def main() -> int:
    """Measure, and print the figures."""
    from tests.integrations import versitygw

    if versitygw.binary() is None:
        print("versitygw is not here: build the platform, or name QUARTERMASTER_BINARIES")
        return 1
    size = int(os.environ.get("SIZE_GIB") or 4)
    more = int(os.environ.get("MORE_GIB") or 12)
    turns = int(os.environ.get("TURNS") or 2)
    prepare()
    with tempfile.TemporaryDirectory(prefix="qm-registry-", dir=os.environ.get("FOLDER")) as name:
        place = Path(name)
        free = shutil.disk_usage(place).free / GIB
        needed = 2 * (size * 2 + more) + SHARD_GIB
        if free < needed:
            print(f"{free:.0f} GiB are free, {needed} are needed: set SIZE_GIB and MORE_GIB")
            return 1
        weights = place / "weights"
        write_weights(weights, min(size, SHARD_GIB) * GIB)
        with versitygw.running(place / "s3") as port:
            os.environ.update(versitygw.environment(port))
            make_buckets()
            measured = [one_turn(place, weights, size) for _ in range(turns)]
            large = product(place, weights, more) if more > size else {}
    show("registry", figures(measured, large, size, more), size=f"{size} and {more} GiB")
    return 0


def prepare() -> None:
    """Migrate, and make who publishes."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)


def make_buckets() -> None:
    """Make the registry's bucket, and a plain one."""
    from apps.integrations.s3.client import RegistryStore
    from tests.integrations import versitygw

    store = RegistryStore(bucket=versitygw.BUCKET)
    versitygw.make_bucket(store)
    store._s3.create_bucket(Bucket=BARE)


def write_weights(path: Path, size: int) -> None:
    """Write a safetensors file of `size` bytes: one tensor, and no two blocks of it the same."""
    header = b""
    for _ in range(2):  # its own length is in it
        length = size - 8 - len(header)
        header = json.dumps(
            {"weight": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}
        ).encode()
    noise = bytearray(os.urandom(BLOCK))
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        left = size - 8 - len(header)
        number = 0
        while left:
            noise[:8] = number.to_bytes(8, "little")
            number += 1
            left -= file.write(noise[: min(BLOCK, left)])


def one_turn(place: Path, weights: Path, size: int) -> dict[str, float]:
    """Return the seconds of each thing, and the most memory of the product's."""
    found = {f"{name}_seconds": work(name, weights)["seconds"] for name in ("hash", "upload")}
    found["get_seconds"] = work("get", weights)["seconds"]
    work("drop", weights)
    bytes_each = weights.stat().st_size
    for name in ("hash", "upload", "get"):
        found[f"{name}_seconds"] *= size * GIB / bytes_each
    return found | product(place, weights, size)


def product(place: Path, weights: Path, size: int) -> dict[str, float]:
    """Publish and verify a version of `size` GiB; return seconds and memory."""
    folder = place / "model"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    for number in range(-(-size * GIB // weights.stat().st_size)):
        os.link(weights, folder / f"model-{number:05}.safetensors")
    published = work("publish", folder)
    signed = work("sign", folder)
    verified = work("verify", folder)
    return {
        "publish_seconds": published["seconds"],
        "sign_seconds": signed["seconds"],
        "verify_seconds": verified["seconds"],
        "memory_mib": max(one["memory_mib"] for one in (published, signed, verified)),
    }


def work(name: str, path: Path) -> dict[str, float]:
    """Do one thing in a process of its own; return its seconds and the most memory it had."""
    command = [sys.executable, "-m", "tests.benchmarks.registry_work", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def figures(
    measured: list[dict[str, float]], large: dict[str, float], size: int, more: int
) -> list[Result]:
    """Return the figures: the ratio is the value, the absolute speed stands in the name."""

    def speed(name: str) -> float:
        return size * 1024 / min(turn[f"{name}_seconds"] for turn in measured)

    slower = min(speed("hash"), speed("get"))
    verify, publish = speed("verify") / slower, speed("publish") / speed("upload")
    memory = max(turn["memory_mib"] for turn in measured)
    found = [
        Result(
            f"verify, {speed('verify'):.0f} MiB/s; GET {speed('get'):.0f}, SHA-256 "
            f"{speed('hash'):.0f}",
            round(verify, 2), "x the slower", VERIFY_GOAL, better="higher",
        ),
        Result(
            f"publish, {speed('publish'):.0f} MiB/s; boto3 alone {speed('upload'):.0f}",
            round(publish, 2), "x boto3", PUBLISH_GOAL, better="higher",
        ),
        Result(f"most memory at {size} GiB", round(memory), "MiB", MEMORY_MIB),
    ]  # fmt: skip
    if large:
        grown = large["memory_mib"] - memory
        found += [
            Result(f"most memory at {more} GiB", round(large["memory_mib"]), "MiB", MEMORY_MIB),
            Result(f"grown from {size} to {more} GiB", round(grown), "MiB", SPREAD_MIB),
        ]
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in blocks of 1 MiB."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(MIB):
            found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
