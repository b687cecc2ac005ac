"""Reads the beginnings of a version's files that its facts come from, as they are stored.

Each is read by its object's version, whose digest was compared before, so that what is read here is
what was verified, however many passes that took. A version of 200 files of weights costs some 200
small reads.
"""

from collections.abc import Iterable

from apps.catalog.content import MAX_HEADER
from apps.catalog.facts.documents import MAX_JSON
from apps.catalog.facts.quantizations import OTHERS
from apps.catalog.facts.reading import CARDS, Facts, Sources, read
from apps.catalog.models import ModelFile, ModelVersion
from apps.integrations.s3.client import RegistryStore

DOCUMENTS = frozenset(
    {
        "config.json", "tokenizer_config.json", "chat_template.json", "chat_template.jinja",
        *OTHERS, *CARDS,
    }
)  # fmt: skip
FIRST_READ = 64 * 1024  # bytes of a file of weights: most headers are shorter


def facts_of(version: ModelVersion, files: Iterable[ModelFile], store: RegistryStore) -> Facts:
    """Return what the stored files say. Raises what the store raises."""
    listed = list(files)
    documents: dict[str, bytes] = {}
    headers: dict[str, bytes] = {}
    for file in listed:
        if file.name.lower() in DOCUMENTS:
            documents[file.name] = _start(version, file, store, MAX_JSON + 1)
        elif file.name.endswith(".safetensors"):
            headers[file.name] = _header(version, file, store)
    return read(Sources([file.name for file in listed], documents, headers))


def _header(version: ModelVersion, file: ModelFile, store: RegistryStore) -> bytes:
    """Return a safetensors header, without its length; shorter than it should be where it is longer
    than any may be.
    """
    start = _start(version, file, store, FIRST_READ)
    length = int.from_bytes(start[:8], "little")
    if 8 + length > len(start) and length <= MAX_HEADER:
        start = _start(version, file, store, 8 + length)
    return start[8 : 8 + length]


def _start(version: ModelVersion, file: ModelFile, store: RegistryStore, size: int) -> bytes:
    return store.read_start(
        version.prefix + file.name, size=min(size, file.size), version_id=file.object_version
    )
