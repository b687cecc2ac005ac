"""What a version may consist of, how its list of files becomes one digest, and how that list is
signed and checked. Pure: no files, no network. The only module of the product that programs outside
of it import: the loader beside the engine, and the command line.

The allowlist is short on purpose: weights as safetensors, and the texts that describe them. Formats
that can carry code (pickle, Python, archives) are refused by name here and by content in the
catalog; scanners that look for known bad content are no gate.

The signature is an OpenSSF model-signing bundle (Sigstore bundle v0.3, predicate
`https://model_signing/signature/v1.0`, ECDSA with a P-256, P-384 or P-521 key). The library of that
name signs folders on disk; here the files are in S3 and were digested while they were read back, so
the in-toto statement and its DSSE envelope are built from the digests. The library's own verifier
accepts the result on a downloaded folder that holds the version's files, manifest.json and
model.sig; tests hold both ways.

ranges.json, which the portal adds and the manifest lists, has the SHA-256 of every 64 MiB of every
file: so a later reading can stop anywhere, and says which bytes differ.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from apps.common.canonical import canonical, digest_of
from apps.common.signing import PublicKey, Signer, is_signed, public_pem, read_public_keys

MIB, GIB = 1024**2, 1024**3
PART_SIZE = 8 * MIB  # of every part but a file's last
MAX_FILES = 500
# one worker pass reads a file whole; larger weights come in shards anyway
MAX_FILE_BYTES = 10 * GIB
MAX_TOTAL_BYTES = 1024 * GIB
MAX_JSON_BYTES = 64 * MIB
MAX_RANGES_BYTES = 4 * MIB  # of ranges.json: 80 bytes for each 64 MiB of the largest version

MANIFEST_NAME, SIGNATURE_NAME, RANGES_NAME = "manifest.json", "model.sig", "ranges.json"
WRITTEN_BY_PORTAL = frozenset({MANIFEST_NAME, SIGNATURE_NAME, RANGES_NAME})
TWICE = "a key occurs twice"
RANGE_SIZE = 64 * MIB  # of every range but a file's last
REQUIRED = ("config.json",)
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
_PLAIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")
_SHA256 = re.compile(r"^[0-9a-f]{64}\Z")
_ALLOWED = re.compile(
    r"""^(?: .+\.safetensors
    | (?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab
      |chat_template
        |preprocessor_config|processor_config|quantize_config|quantization_config|hf_quant_config
        |.+\.safetensors\.index)\.json
    | tokenizer\.model | chat_template\.jinja | .+\.(?:txt|md) | (?:LICENSE|NOTICE)(?:\.[a-z]+)?
    )\Z""",
    re.VERBOSE,
)
_CAN_CARRY_CODE = {
    ".bin": "pickle", ".pt": "pickle", ".pth": "pickle", ".pkl": "pickle", ".pickle": "pickle",
    ".ckpt": "pickle",
    ".joblib": "pickle", ".npy": "pickle", ".npz": "pickle", ".h5": "code", ".keras": "code",
    ".py": "Python code",
    ".so": "native code", ".zip": "an archive", ".tar": "an archive", ".gz": "an archive",
    ".7z": "an archive",
}  # fmt: skip


class BadSignature(Exception):
    """The bundle does not say what it should, or another key made it. The text says which."""


@dataclass(frozen=True)
class FileEntry:
    """One file of a version. size: bytes; sha256: 64 hexadecimal digits."""

    name: str
    size: int
    sha256: str


def file_list_problems(entries: Sequence[FileEntry]) -> list[str]:
    """Return what is wrong with a declared list of files, in words; nothing when it may be
    published.
    """
    found = [problem for entry in entries if (problem := entry_problem(entry))]
    if len(entries) > MAX_FILES:
        found.append(f"{len(entries)} files: a version has at most {MAX_FILES}.")
    if sum(entry.size for entry in entries) > MAX_TOTAL_BYTES:
        found.append(f"The files are larger than {MAX_TOTAL_BYTES // GIB} GiB together.")
    names = [entry.name.lower() for entry in entries]
    found += [
        f"{name}: listed twice."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    found += [f"{name} is missing." for name in REQUIRED if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        found.append("There are no weights: a version needs at least one .safetensors file.")
    return found


def manifest_problems(entries: Sequence[FileEntry]) -> list[str]:
    """Return what is wrong with the files that a manifest lists: as file_list_problems, but for the
    digests of ranges, which the portal adds to what was declared. Versions of before have none.
    """
    ours = [entry for entry in entries if entry.name == RANGES_NAME]
    found = file_list_problems([entry for entry in entries if entry.name != RANGES_NAME])
    found += [problem for entry in ours if (problem := _facts_problem(entry))]
    return [*found, f"{RANGES_NAME}: listed twice."] if len(ours) > 1 else found


def entry_problem(entry: FileEntry) -> str:
    """Return what is wrong with one declared file; "" when nothing is."""
    return name_problem(entry.name) or _facts_problem(entry)


def _facts_problem(entry: FileEntry) -> str:
    if not _SHA256.match(entry.sha256):
        return f"{entry.name}: its sha256 must be 64 lower-case hexadecimal digits."
    limit = MAX_JSON_BYTES if entry.name.endswith(".json") else MAX_FILE_BYTES
    if not 1 <= entry.size <= limit:
        return f"{entry.name}: {entry.size:,} bytes; a file of this kind has 1 to {limit:,}."
    return ""


def name_problem(name: str) -> str:
    """Return why a file of this name cannot be published; "" when it can."""
    shown = name if name.isprintable() and len(name) <= 80 else repr(name[:80])
    if "/" in name or "\\" in name:
        return f"{shown}: all files must be in one folder; paths are refused."
    if name.startswith("."):
        return f"{shown}: hidden files are refused."
    if not _PLAIN.match(name):
        return f"{shown}: use letters, digits, dots, dashes and underscores, at most 200."
    if name.lower() in WRITTEN_BY_PORTAL:
        return f"{name}: the portal writes this file itself."
    suffix = "." + name.lower().rsplit(".", 1)[-1] if "." in name else ""
    if suffix in _CAN_CARRY_CODE:
        return (
            f"{name}: {suffix} files can carry code ({_CAN_CARRY_CODE[suffix]}); publish weights "
            f"as .safetensors."
        )
    if not _ALLOWED.match(name):
        return (
            f"{name}: only .safetensors, configuration and tokenizer files, .txt, .md and licenses "
            f"are published."
        )
    return ""


def part_count(size: int) -> int:
    """Return in how many parts a file of `size` bytes is uploaded."""
    return -(-size // PART_SIZE)


def part_size(size: int, number: int) -> int:
    """Return how many bytes part `number` (from 1) of a file of `size` bytes has; 0 when there is
    no such part.
    """
    if not 1 <= number <= part_count(size):
        return 0
    return min(PART_SIZE, size - (number - 1) * PART_SIZE)


def digest(entries: Iterable[FileEntry]) -> str:
    """Return the manifest digest: over the list of name, sha256 and size."""
    return digest_of(_listed(entries))


def manifest(*, model: str, number: int, entries: Iterable[FileEntry]) -> bytes:
    """Return the content of a version's manifest.json."""
    return canonical({"files": _listed(entries), "model": model, "version": number})


def read_manifest(content: bytes) -> list[FileEntry]:
    """Return the files that a manifest.json lists. Raises ValueError when it is no manifest, or one
    that two readers may read differently: a key that occurs twice, a size that is a text.
    """
    try:
        return [_entry(item) for item in json.loads(content, object_pairs_hook=no_twins)["files"]]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("manifest.json does not list files") from error


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's pairs as a dictionary, for json.loads. Raises ValueError where a key
    occurs twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(TWICE)
    return found


def _entry(item: dict[str, Any]) -> FileEntry:
    name, size, sha256 = item["name"], item["size"], item["sha256"]
    if type(name) is not str or type(size) is not int or type(sha256) is not str:
        raise TypeError("a name, a size and a digest")
    return FileEntry(name, size, sha256)


def _listed(entries: Iterable[FileEntry]) -> list[dict[str, object]]:
    return [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.name)]


# -- Ranges ----------------------------------------------------------------------------------------


class RangeHash:
    """The SHA-256 of each range of a file whose bytes stream by."""

    def __init__(self) -> None:
        self._finished: list[str] = []
        self._present = hashlib.sha256()
        self._left = RANGE_SIZE

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        rest = memoryview(chunk)
        while rest:
            piece, rest = rest[: self._left], rest[self._left :]
            self._present.update(piece)
            self._left -= len(piece)
            if not self._left:
                self._finished.append(self._present.hexdigest())
                self._present, self._left = hashlib.sha256(), RANGE_SIZE

    def digests(self) -> list[str]:
        """Return one digest a range, of all that was read so far, the last range as far as it
        is.
        """
        begun = self._left < RANGE_SIZE
        return [*self._finished, self._present.hexdigest()] if begun else list(self._finished)


def range_count(size: int) -> int:
    """Return how many ranges a file of `size` bytes has."""
    return -(-size // RANGE_SIZE)


def range_of(size: int, index: int) -> tuple[int, int]:
    """Return first byte and length of a range, counted from 0, of a file of `size` bytes."""
    first = index * RANGE_SIZE
    return first, min(RANGE_SIZE, size - first)


def ranges(digests: Mapping[str, Sequence[str]]) -> bytes:
    """Return the content of a version's ranges.json. digests: of each file's ranges, by name."""
    files = {name: list(found) for name, found in digests.items()}
    return canonical({"algorithm": "sha256", "files": files, "range_size": RANGE_SIZE})


def read_ranges(content: bytes, entries: Iterable[FileEntry]) -> dict[str, list[str]]:
    """Return the digests of each file's ranges, by name. entries: of the manifest. Raises
    ValueError where it does not tell of exactly these files and all their ranges.
    """
    try:
        said = json.loads(content, object_pairs_hook=no_twins)
        kind, files = (said["algorithm"], said["range_size"]), said["files"]
        found = {str(name): [str(one) for one in digests] for name, digests in files.items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{RANGES_NAME} lists no ranges") from error
    if kind != ("sha256", RANGE_SIZE):
        raise ValueError(f"{RANGES_NAME} has ranges of another kind")
    wanted = {e.name: range_count(e.size) for e in entries if e.name != RANGES_NAME}
    if {name: len(digests) for name, digests in found.items()} != wanted:
        raise ValueError(f"{RANGES_NAME} lists other ranges than the files have")
    return found


# -- Signatures ------------------------------------------------------------------------------------


def hint(key: PublicKey) -> str:
    """Return what a bundle calls the key that made it: the SHA-256 of its PEM."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def signer_name(key: PublicKey) -> str:
    """Return the name under which people see a registry's key."""
    return f"Registry key {hint(key)[:16]}"


def sign(*, name: str, entries: Iterable[FileEntry], signer: Signer) -> bytes:
    """Return the signature bundle over `entries`; name: the version's, `<model>-v<number>`."""
    payload = json.dumps(_statement(name, sorted(entries, key=lambda entry: entry.name))).encode()
    signature = signer.sign(_envelope_bytes(payload))
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint(signer.public_key)}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": _base64(payload),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": _base64(signature), "keyid": ""}],
        },
    }
    return json.dumps(bundle).encode()


def trusted_keys(pem: bytes) -> list[PublicKey]:
    """Return the keys that may have signed, from one PEM after the other. Raises ValueError where
    there is none, or one on a curve that the format does not know.
    """
    found = read_public_keys(pem)
    if not found:
        raise ValueError("there is no public key in it")
    return found


def verify(
    *,
    bundle: bytes,
    entries: Iterable[FileEntry],
    keys: Sequence[PublicKey],
    name: str | None = None,
) -> PublicKey:
    """Check that one of the trusted keys signed exactly these files; return it.

    name: the version's, as it was signed: needed wherever nothing else says which version's files
    these are, since the signature leaves manifest.json out. None: any. Raises BadSignature.
    """
    try:
        statement, key = _signed_statement(bundle, keys)
        predicate = statement["predicate"]
        signed = {resource["name"]: resource["digest"] for resource in predicate["resources"]}
        method = predicate["serialization"]["method"]
        signed_as = statement["subject"][0]["name"]
    except (
        KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError,
    ) as error:  # fmt: skip
        raise BadSignature(
            f"{SIGNATURE_NAME} is not a model-signing bundle ({type(error).__name__})."
        ) from error
    if statement.get("predicateType") != PREDICATE or method != "files":
        raise BadSignature(f"{SIGNATURE_NAME} describes something other than a list of files.")
    if name is not None and signed_as != name:
        raise BadSignature(f"{SIGNATURE_NAME} was made for {signed_as}, not for {name}.")
    expected = {entry.name: entry.sha256 for entry in entries}
    for name in sorted(signed.keys() | expected.keys()):
        if signed.get(name) != expected.get(name):
            raise BadSignature(f"{SIGNATURE_NAME} was made for another {name}.")
    return key


def _signed_statement(bundle: bytes, keys: Sequence[PublicKey]) -> tuple[dict[str, Any], PublicKey]:
    envelope = json.loads(bundle)["dsseEnvelope"]
    if envelope["payloadType"] != PAYLOAD:
        raise BadSignature(
            f"{SIGNATURE_NAME} holds {envelope['payloadType']}, not an in-toto statement."
        )
    payload = base64.b64decode(envelope["payload"], validate=True)
    signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    message = _envelope_bytes(payload)
    made = [key for key in keys if is_signed(key=key, signature=signature, message=message)]
    if not made:
        names = " or ".join(map(signer_name, keys))
        raise BadSignature(f"{SIGNATURE_NAME} was not made by {names}.")
    return json.loads(payload), made[0]


def _statement(name: str, entries: list[FileEntry]) -> dict[str, Any]:
    root = hashlib.sha256(b"".join(bytes.fromhex(entry.sha256) for entry in entries)).hexdigest()
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [MANIFEST_NAME, SIGNATURE_NAME],
            },
            "resources": [
                {"name": e.name, "algorithm": "sha256", "digest": e.sha256} for e in entries
            ],
        },
    }


def _envelope_bytes(payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: what is really signed."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
