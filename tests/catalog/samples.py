"""Small model folders for tests: files with real safetensors headers, and rows that were really
uploaded.
"""

import hashlib
import json
import uuid
from datetime import timedelta

from django.conf import settings

from apps.catalog import actions, uploads
from apps.catalog.registry import Keeper
from apps.catalog.uploads import Registry
from apps.common import model_manifest
from apps.common.model_manifest import FileEntry
from apps.common.signing import FileSigner
from tests.factories import NOW, RegisteredModelFactory

LICENSE = b"Apache License 2.0"
CARD = b"# Reads prior authorizations\n"


def safetensors(values: int = 4, header: dict | None = None) -> bytes:
    """Return a file with one F16 tensor, or with the header given."""
    tensors = header or {
        "weight": {"dtype": "F16", "shape": [values], "data_offsets": [0, values * 2]}
    }
    text = json.dumps(tensors).encode()
    return len(text).to_bytes(8, "little") + text + b"\x01\x02" * values


def folder(**more: bytes) -> dict[str, bytes]:
    """Return the contents of a publishable folder by name; `more` adds or replaces (dots written as
    __).
    """
    contents = {
        "config.json": b'{"model_type": "llama"}',
        "model.safetensors": safetensors(),
        "LICENSE": LICENSE,
    }
    return contents | {name.replace("__", "."): body for name, body in more.items()}


def declared(contents: dict[str, bytes]) -> list[FileEntry]:
    """Return the entries a publisher declares for these contents."""
    return [
        FileEntry(name, len(body), hashlib.sha256(body).hexdigest())
        for name, body in contents.items()
    ]


def ranges_of(contents: dict[str, bytes]) -> FileEntry:
    """Return the entry of the ranges.json that the portal adds to these contents, each smaller than
    a range.
    """
    body = ranges_body(contents)
    return FileEntry("ranges.json", len(body), hashlib.sha256(body).hexdigest())


def ranges_body(contents: dict[str, bytes]) -> bytes:
    """Return the ranges.json of these contents, each smaller than a range."""
    return model_manifest.ranges({entry.name: [entry.sha256] for entry in declared(contents)})


def new_model(alice):
    """Return a model with a name of its own: objects in the bucket outlive a test."""
    name = f"m-{uuid.uuid4().hex[:10]}"
    return RegisteredModelFactory(name=name, owner_team=alice.team, created_by=alice)


def upload(
    store,
    alice,
    contents: dict[str, bytes],
    *,
    now=NOW,
    files: list[FileEntry] | None = None,
    finish=True,
):
    """Upload contents as a new version of a new model and close the upload."""
    registry = Registry(store, timedelta(days=1))
    version = actions.add_version(
        registered_model=new_model(alice), files=files or declared(contents), actor=alice, now=now
    )
    for file in version.files.select_related("version__registered_model"):
        uploads.receive_part(
            file=file, number=1, body=contents[file.name], actor=alice, registry=registry, now=now
        )
    if finish:
        uploads.finish(version=version, actor=alice, registry=registry, now=now)
    version.refresh_from_db()
    return version


def keeper(store, now, *, signer=None, **options):
    """Return the keeper of a registry with this bucket. now: a function; signer: another key than
    that of the settings.
    """
    return Keeper(
        Registry(store, timedelta(days=1)),
        lambda: signer or FileSigner.load(settings.SIGNING_KEY_FILE),
        now=now,
        ticks=lambda: 0.0,
        **options,
    )


def verified(store, alice, *, now=NOW, contents=None):
    """Return a version that was published by the registry's own process."""
    version = upload(store, alice, contents or folder(), now=now)
    own = keeper(store, lambda: now)
    for _ in range(5):
        own._version()
        version.refresh_from_db()
        if version.status == "VERIFIED":
            return version
    raise AssertionError(version.message)
