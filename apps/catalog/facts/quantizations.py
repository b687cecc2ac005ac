"""How a version's weights are quantized, from its configuration. Pure."""

from collections.abc import Mapping
from typing import Any

from apps.catalog.facts import documents

# files that say it where config.json does not
OTHERS = ("quantize_config.json", "quantization_config.json", "hf_quant_config.json")
FOUR_BITS = ("nvfp4", "mxfp4", "fp4")


def words(config: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """Return the method with its bits, "fp8" or "awq, 4 bits"; "" where no file names one."""
    found = _section(config)
    for name in OTHERS:
        if not found:
            found = documents.json_object(name, files.get(name), [])
            inner = found.get("quantization")
            found = inner if isinstance(inner, dict) else found
    method = _method(found)
    width = bits({"quantization_config": found})
    return f"{method}, {width} bits" if method and width and "fp" not in method else method


def bits(config: Mapping[str, Any]) -> int | None:
    """Return how many bits a quantized weight has; None where the configuration does not say."""
    found = _section(config)
    width = found.get("bits", found.get("w_bit"))
    if isinstance(width, int) and width in (2, 3, 4, 8):
        return width
    if _method(found) in FOUR_BITS:
        return 4
    for group in _groups(found):
        weights = group.get("weights")
        if isinstance(weights, dict) and weights.get("num_bits") in (4, 8):
            return int(weights["num_bits"])
    return None


def _groups(section: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = section.get("config_groups")
    values = groups.values() if isinstance(groups, dict) else []
    return [each for each in values if isinstance(each, dict)]


def _section(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = config.get("quantization_config")
    return found if isinstance(found, dict) else {}


def _method(section: Mapping[str, Any]) -> str:
    named = section.get("quant_algo") or section.get("quant_method")
    return documents.text(named).lower()
