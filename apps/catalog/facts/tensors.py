"""Counts parameters and bytes from the headers of safetensors files. Pure.

Figures come from what the tensors are, not from their names, but for two kinds: the scales that
quantization adds are no parameters, and four-bit weights are packed, several in a number.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from apps.catalog.content import DTYPE_BITS, MAX_HEADER

# what quantization keeps beside the weights
SCALES = (
    "_scale", "_scale_inv", "_scale_2", ".scales", ".qzeros", ".zeros", ".g_idx", "_zero_point",
    "_shape", ".absmax", "_global_scale",
)  # fmt: skip
PACKED = (".qweight", "_packed", "_blocks")


@dataclass(frozen=True)
class Weights:
    """What the headers say together. dtypes: parameters by dtype. dtype: that of most bytes; None
    and "" where nothing is known.
    """

    parameters: int | None = None
    weight_bytes: int | None = None
    dtype: str = ""
    dtypes: Mapping[str, int] = field(default_factory=dict)


def count(headers: Mapping[str, bytes], bits: int | None, problems: list[str]) -> Weights:
    """Return what these headers say. headers: file name → header without its length. bits: of a
    packed weight, None where the configuration does not say.
    """
    seen: dict[str, str] = {}
    parameters, sizes = Counter[str](), Counter[str]()
    is_whole = bool(headers)
    for file, header in sorted(headers.items()):
        tensors = _tensors(file, header, problems)
        is_whole = is_whole and tensors is not None
        for name, tensor in (tensors or {}).items():
            if name in seen:
                problems.append(f"{name[:80]} is in both {seen[name]} and {file}; counted once.")
                continue
            seen[name] = file
            held, size = _held(name, tensor, bits)
            sizes[str(tensor["dtype"])] += size
            if held is None:
                is_whole = False
                problems.append(f"{file}: how many weights {name[:80]} packs is not known.")
                break
            parameters[str(tensor["dtype"])] += held
    total = sum(sizes.values())
    if not total:
        return Weights()
    dtype = max(sizes, key=lambda each: (sizes[each], each))
    known = sum(parameters.values()) if is_whole else None
    return Weights(known, total, dtype, {key: value for key, value in parameters.items() if value})


def _tensors(file: str, header: bytes, problems: list[str]) -> dict[str, dict[str, Any]] | None:
    """Return a file's tensors; None, with a word in problems, where its header cannot be read."""
    try:
        if len(header) > MAX_HEADER:
            raise ValueError
        found = json.loads(header)
        found.pop("__metadata__", None)
        for tensor in found.values():
            prod(int(each) for each in tensor["shape"])
            DTYPE_BITS[tensor["dtype"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        problems.append(f"{file}: its header cannot be read.")
        return None
    return dict(found)


def _held(name: str, tensor: Mapping[str, Any], bits: int | None) -> tuple[int | None, int]:
    """Return how many parameters a tensor holds, None where nobody says, and its bytes."""
    width = DTYPE_BITS[tensor["dtype"]]
    numbers = prod(int(each) for each in tensor["shape"])
    size = numbers * width // 8
    if name.endswith(SCALES):
        return 0, size
    is_packed = name.endswith(PACKED) or (tensor["dtype"] == "U8" and name.endswith(".weight"))
    if not is_packed:
        return numbers, size
    return (numbers * width // bits if bits else None), size
