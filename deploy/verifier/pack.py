"""An evidence pack: a zip, or the folder that was unpacked from it. Its contents.json lists every
file with its digest, and says what proves which of them:

- by the record: an event of the record, proven by a tlog-proof in the pack, names the digest of a
  file, or the commit whose objects lie in the pack;
- by a signature: a model's manifest, signed by a key of the registry.

Every other file is what the portal tells, and is counted as such.
"""

import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from keys import Key, Unreadable, Wrong, keys_in
from record import PART, Head, proven_entry, verify_part

FORMAT = "quartermaster.evidence@v1"
INDEX = "contents.json"
# What needs no proof, whatever a pack calls its own: these say nothing about the subject.
OURS = re.compile(
    r"README\.md|record/(keys\.pem|checkpoint\.txt)|verifier/\w+\.py|(.+/)?model/registry-keys\.pem"
)
WHOLE_DIGEST = re.compile(r"(?<!\w)sha256:[0-9a-f]{64}(?!\w)")
MOST_TIMES = 200  # that a zip may grow when it is read; text shrinks to a thirtieth at best


@dataclass(frozen=True)
class Pack:
    """The files of a pack, by their paths in it."""

    files: dict[str, Callable[[], bytes]]

    def read(self, path: str) -> bytes:
        """Return a file. Raises Wrong where the pack lacks it."""
        if path not in self.files:
            raise Wrong(f"{path} is missing.")
        return self.files[path]()

    def json(self, path: str) -> Any:
        """Return what a JSON file says."""
        return json.loads(self.read(path))


@dataclass
class Held:
    """What was found to hold, in words, and the files that something proves."""

    words: list[str] = field(default_factory=list)
    proven: set[str] = field(default_factory=set)

    def say(self, words: str, *paths: str) -> None:
        """Add what holds."""
        self.words.append(words)
        self.proven.update(paths)


def open_pack(path: str) -> Pack:
    """Return the pack at a path: a zip or a folder."""
    place = Path(path)
    if place.is_dir():
        files = [one for one in sorted(place.rglob("*")) if one.is_file()]
        return Pack({one.relative_to(place).as_posix(): one.read_bytes for one in files})
    archive = zipfile.ZipFile(place)
    entries = archive.infolist()
    names = [one.filename for one in entries]
    if len(names) != len(set(names)):
        raise Wrong("The zip holds two files of one name.")
    unpacked = sum(one.file_size for one in entries)
    if unpacked > MOST_TIMES * place.stat().st_size:
        raise Unreadable(f"The zip would grow to {unpacked:,} bytes: no pack does that.")
    return Pack({name: partial(archive.read, name) for name in names})


def verify_pack(pack: Pack, keys: list[Key], kept: list[Head], registry: list[Key]) -> str:
    """Verify a pack; return what holds, in words. registry: keys that may have signed models; none:
    those in the pack are taken.
    """
    if INDEX not in pack.files:
        raise Unreadable(f"No {INDEX}: it is no evidence pack.")
    index = pack.json(INDEX)
    if index.get("format") != FORMAT:
        raise Unreadable(f"{INDEX} is not of the format {FORMAT}.")
    _check_files(pack, index)
    held = Held()
    events = dict(_proven_events(pack, index, keys, kept, held))
    for part in index["parts"]:
        head, *lines = pack.read(part).splitlines()
        if head.decode(errors="replace") != PART:
            raise Unreadable(f"{part} is no part of the record.")
        held.say(f"{part}: {verify_part(iter(lines), keys, kept)}", part)
    for claim in index["proven"]:
        _check_claim(pack, claim, events, held)
    for commit in index["commits"]:
        _check_commit(pack, commit, events, held)
    for model in index["models"]:
        _check_model(pack, model, registry, held)
    ours = {path for path in index["ours"] if OURS.fullmatch(path)}
    told: list[str] = sorted(set(pack.files) - held.proven - {INDEX} - ours)
    words = [f"{index['subject']['label']}: {len(pack.files):,} files, each as it was packed."]
    words += [f"  {one}" for one in held.words]
    if told:
        words.append(f"  {len(told):,} files are told by the portal, and proven by nothing here:")
        words += [f"    {path}" for path in told]
    words += [f"  not in the pack: {one['what']} ({one['why']})" for one in index["missing"]]
    return "\n".join(words)


def _check_files(pack: Pack, index: dict[str, Any]) -> None:
    """Raise Wrong unless the pack holds exactly the files that were packed."""
    listed = {one["path"]: one["sha256"] for one in index["files"]}
    for path in sorted(set(pack.files) | set(listed)):
        if path == INDEX:
            continue
        if path not in listed:
            raise Wrong(f"{path} was added.")
        if hashlib.sha256(pack.read(path)).hexdigest() != listed[path]:
            raise Wrong(f"{path} was changed.")


def _proven_events(
    pack: Pack, index: dict[str, Any], keys: list[Key], kept: list[Head], held: Held
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, event) of every event that the pack proves."""
    heads: set[Head] = set()
    for path in index["events"]:
        entry, _, head = proven_entry(pack.read(path).splitlines(), keys)
        heads.add(head)
        held.proven.add(path)
        yield path, json.loads(entry)
    for head in heads:
        mine = next((one for one in kept if one.size == head.size), None)
        if mine is not None and mine.root != head.root:
            raise Wrong(f"The checkpoint of {head.size:,} entries is another than yours.")
        own = ", which is the one that you kept" if mine else ""
        held.say(
            f"{len(index['events']):,} events are in the record {head.origin}, as it was signed "
            f"at {head.size:,} entries by the key {head.signer}{own}."
        )


def _check_claim(
    pack: Pack, claim: dict[str, Any], events: dict[str, dict[str, Any]], held: Held
) -> None:
    """Check that an event, or a file that is proven already, names a file's digest."""
    path = claim["path"]
    found = DIGESTS[claim["as"]](pack.read(path))
    if "listed_in" in claim:
        listing = claim["listed_in"]
        if listing not in held.proven or found not in _digests_in(pack.json(listing)):
            raise Wrong(f"{path} is not one that {listing} names.")
        held.say(f"{path} is one that {listing} names.", path)
        return
    event = events[claim["event"]]
    if _field(event, claim["field"]) != found:
        raise Wrong(f"{path} is not what the record names ({_event_words(event)}).")
    held.say(f"{path} is what the record names: {_event_words(event)}.", path)


def _check_commit(
    pack: Pack, commit: dict[str, Any], events: dict[str, dict[str, Any]], held: Held
) -> None:
    """Check that an event names a commit, and that the pack's files are those of the commit."""
    folder, event = commit["folder"], events[commit["event"]]
    raw = pack.read(f"{folder}/commit")
    sha = git_id("commit", raw)
    if _field(event, commit["field"]) != sha:
        raise Wrong(f"{folder}/commit is not the commit of the record ({_event_words(event)}).")
    root = raw.split(b"\n", 1)[0].removeprefix(b"tree ").decode()
    proven = [f"{folder}/commit"]
    for path in commit["files"]:
        proven += _check_in_tree(pack, folder, root, path)
    approved = _check_approved(pack, commit, held) if "binding" in commit else ""
    written = ", ".join(commit["files"]) or "no file"
    words = f"{folder} is commit {sha[:12]} of the record ({_event_words(event)}): {written}"
    held.say(f"{words}{approved}.", *proven)


def _check_approved(pack: Pack, commit: dict[str, Any], held: Held) -> str:
    """Check that a commit wrote the bytes that the approval bound for its step; say so."""
    binding, folder = commit["binding"], commit["folder"]
    if binding not in held.proven:
        raise Wrong(f"{binding} is proven by nothing, so nothing tells what was approved.")
    for path, digest in pack.json(binding)["steps"][commit["step"]].items():
        own = f"{folder}/files/{path}"
        found = DIGESTS["sha256"](pack.read(own)) if own in pack.files else None
        if path not in commit["files"] or found != digest:
            raise Wrong(f"{own} is not what was approved ({binding}).")
    return ", byte for byte what was approved"


def _check_in_tree(pack: Pack, folder: str, root: str, path: str) -> list[str]:
    """Check that a commit's tree holds a file as it is in the pack, or holds none where the pack
    has none; return the paths in the pack that this proves.
    """
    own = f"{folder}/files/{path}"
    wanted = git_id("blob", pack.read(own)) if own in pack.files else None
    found: str | None = root
    used = []
    for name in path.split("/"):
        if found is None:
            break
        tree = f"{folder}/trees/{found}"
        raw = pack.read(tree)
        if git_id("tree", raw) != found:
            raise Wrong(f"{tree} was changed.")
        used.append(tree)
        found = dict(_tree_entries(raw)).get(name)
    if found != wanted:
        raise Wrong(f"{own} is not what the commit holds.")
    return [*used, own] if wanted else used


def _tree_entries(raw: bytes) -> Iterator[tuple[str, str]]:
    while raw:
        head, _, rest = raw.partition(b"\0")
        yield head.split(b" ", 1)[1].decode(), rest[:20].hex()
        raw = rest[20:]


def _check_model(pack: Pack, model: dict[str, str], registry: list[Key], held: Held) -> None:
    """Check that a key of the registry signed the files of a manifest."""
    listed = {one["name"]: one["sha256"] for one in pack.json(model["manifest"])["files"]}
    envelope = pack.json(model["signature"])["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    keys = registry or keys_in(pack.read(model["keys"]))
    signer = next((key for key in keys if key.signed(signature, message)), None)
    if signer is None:
        raise Wrong(
            f"{model['signature']} was made by {_stranger(pack, model, signature, message)}"
        )
    statement = json.loads(payload)
    signed = {one["name"]: one["digest"] for one in statement["predicate"]["resources"]}
    if signed != listed:
        raise Wrong(f"{model['signature']} was made over other files than the manifest lists.")
    whose = "your key" if registry else "a key that the pack brings: compare it with yours,"
    pem = hashlib.sha256(signer.pem).hexdigest()
    held.say(
        f"{model['manifest']} lists what {whose} {pem} signed: {len(listed)} files.",
        model["manifest"],
        model["signature"],
    )


def _stranger(pack: Pack, model: dict[str, str], signature: bytes, message: bytes) -> str:
    """Return whose signature it is that none of the trusted keys made."""
    brought = keys_in(pack.read(model["keys"]))
    key = next((one for one in brought if one.signed(signature, message)), None)
    if key is None:
        return "none of the registry's keys."
    return (
        f"{hashlib.sha256(key.pem).hexdigest()}, which the pack brings and your list of keys does "
        f"not have: was it revoked? Then nothing it signed is believed any more."
    )


def git_id(kind: str, raw: bytes) -> str:
    """Return the id that Git gives an object."""
    # SHA-1 is Git's choice; the record names the commit by it
    return hashlib.sha1(b"%s %d\0%s" % (kind.encode(), len(raw), raw)).hexdigest()  # noqa: S324


def _manifest_digest(manifest: bytes) -> str:
    """Return the digest of a version's list of files, as the registry names it."""
    files = sorted(json.loads(manifest)["files"], key=lambda one: one["name"])
    text = json.dumps(files, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _digests_in(value: Any) -> set[str]:
    """Return every whole digest that the values of a JSON document name."""
    return {one for text in _texts_in(value) for one in WHOLE_DIGEST.findall(text)}


def _texts_in(value: Any) -> Iterator[str]:
    """Yield every text of a JSON document, whole; names of fields are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts_in(one)


def _field(event: dict[str, Any], path: str) -> Any:
    found: Any = event
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _event_words(event: dict[str, Any]) -> str:
    return f"{event['action']}, {event['actor_name']}, {event['occurred_at'][:19]}Z"


DIGESTS = {
    "sha256": lambda raw: "sha256:" + hashlib.sha256(raw).hexdigest(),
    "hex": lambda raw: hashlib.sha256(raw).hexdigest(),
    "manifest": _manifest_digest,
}
