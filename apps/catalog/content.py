"""Looks at a file's bytes as they stream by: digest, size, and whether it is what its name says.
Pure.

Only beginnings are kept: a safetensors header, a small configuration, a few bytes of anything else.
"""

import hashlib
import json
from typing import Any

from apps.common.model_manifest import TWICE, no_twins

# bytes of a safetensors header; the format allows 100 MB, real ones have a few
MAX_HEADER = 16 * 1024 * 1024
MAX_CONFIG = 1024 * 1024
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4,
    "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class Inspector:
    """One file of a version while it is read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self._hash = hashlib.sha256()
        self._head = bytearray()
        self._wanted = 8 if self._is_weights else MAX_CONFIG + 1 if _is_config(name) else 512

    def update(self, chunk: bytes) -> None:
        """Take the next bytes (at most a few MiB: the last chunk of a beginning is kept whole)."""
        self._hash.update(chunk)
        self.size += len(chunk)
        if len(self._head) < self._wanted:
            self._head += chunk
            length = int.from_bytes(self._head[:8], "little")
            if self._is_weights and len(self._head) >= 8 and length <= MAX_HEADER:
                self._wanted = 8 + length

    @property
    def _is_weights(self) -> bool:
        return self.name.endswith(".safetensors")

    @property
    def sha256(self) -> str:
        """Return the digest of what was read so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()

    def problem(self) -> str:
        """Return why the content may not be served, once all of it was read; "" when it may."""
        head = bytes(self._head)
        if self._is_weights:
            return _safetensors_problem(head, self.size)
        if _is_config(self.name):
            return _config_problem(head)
        if self.name.endswith(".json"):
            return "" if head.lstrip()[:1] in (b"{", b"[") else "it is not JSON"
        return _magic_problem(head) if self.name != "tokenizer.model" else ""


def _is_config(name: str) -> bool:
    return name.endswith("config.json")


def _magic_problem(head: bytes) -> str:
    if head.startswith((b"\x80", b"PK\x03\x04", b"\x1f\x8b", b"\x7fELF")) or b"\x00" in head:
        return "it is not text: it looks like a pickle, an archive or a program"
    return ""


def _config_problem(content: bytes) -> str:
    if len(content) > MAX_CONFIG:
        return "a configuration is at most 1 MiB"
    try:
        found = json.loads(content, object_pairs_hook=no_twins)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return str(error) if str(error) == TWICE else "it is not JSON"
    if not isinstance(found, dict):
        return "it is not a JSON object"
    if "auto_map" in found or found.get("trust_remote_code"):
        return (
            "it asks for code to be loaded (auto_map); only models that the engine knows are served"
        )
    return ""


def _safetensors_problem(head: bytes, size: int) -> str:
    """Return what is wrong with a safetensors file, judged by its header and its size."""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or not 2 <= length <= MAX_HEADER or 8 + length > size:
        return "it is not a safetensors file: its header's length is impossible"
    try:
        tensors = json.loads(head[8 : 8 + length], object_pairs_hook=no_twins)
        tensors.pop("__metadata__", None)
        spans = sorted(_span(tensor) for tensor in tensors.values())
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError,
    ) as error:  # fmt: skip
        return f"its safetensors header cannot be read ({type(error).__name__})"
    end = 0
    for start, stop in spans:
        if start != end:
            return "its tensors overlap or leave holes"
        end = stop
    return (
        ""
        if end == size - 8 - length
        else f"its tensors need {end + 8 + length:,} bytes, the file has {size:,}"
    )


def _span(tensor: dict[str, Any]) -> tuple[int, int]:
    """Return where a tensor lies in the buffer. Raises ValueError when dtype, shape and place do
    not agree.
    """
    start, stop = tensor["data_offsets"]
    count = 1
    for dimension in tensor["shape"]:
        count *= int(dimension)
    if not 0 <= start <= stop or (stop - start) * 8 != count * DTYPE_BITS[tensor["dtype"]]:
        raise ValueError("offsets do not fit the shape")
    return int(start), int(stop)
