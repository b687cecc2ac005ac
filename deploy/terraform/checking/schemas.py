"""Reads the schemas of Terraform's providers out of wheels that were generated from them.

The providers themselves cannot be had on a machine with package registries alone. A wheel of
`cdktn-provider-*` has for each type of resource the JavaScript that was generated from its schema,
and that code still says all of it: names, types, blocks, and what is required, optional or known
only afterwards. What is read is written as `tofu providers schema -json` writes it, for the types
that are asked for. Neither the wheels (MPL-2.0) nor what is read from them is kept in Git.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Block = dict[str, Any]
_TYPE = re.compile(r'static tfResourceType = "(\w+)"')
_CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{$", re.MULTILINE)
_ATTRIBUTE = re.compile(
    r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)"
)
_GETTER = re.compile(r"get(\w+)Attribute\(")
_NESTED = re.compile(r'new (\w+)\(this, "\w+"(?:, (true|false))?\)')
_HCL = re.compile(
    r'(\w+): \{\s+value: ([^\n]+),\s+isBlock: (\w+),\s+type: "(\w+)",\s+storageClassType: "(\w+)"'
)
_FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{$", re.MULTILINE)
_REAL_BLOCK = re.compile(r"\* (\w+) block$", re.MULTILINE)
_KINDS = {
    "TerraformResource": "resource_schemas",
    "TerraformDataSource": "data_source_schemas",
    "TerraformProvider": "provider",
}
_SIMPLE: dict[str, Any] = {
    "String": "string", "Boolean": "bool", "Number": "number", "Any": "string",
    "List": ["list", "string"], "NumberList": ["list", "number"],
    "StringMap": ["map", "string"], "NumberMap": ["map", "number"], "BooleanMap": ["map", "bool"],
}  # fmt: skip
_STORED: dict[str, Any] = {
    "string": "string", "boolean": "bool", "number": "number", "any": "string",
    "stringList": "string", "numberList": "number", "stringMap": "string", "numberMap": "number",
    "booleanMap": "bool", "stringListMap": ["list", "string"], "stringMapMap": ["map", "string"],
    "stringMapList": ["map", "string"], "stringListList": ["list", "string"],
}  # fmt: skip


class NoSuchType(Exception):
    """The wheel knows no resource or data source of this type; the text names it."""


@dataclass(frozen=True)
class Hcl:
    """How one attribute is written in a configuration, as the generated code says it."""

    value: str
    is_nested: bool
    collection: str  # simple, list, set, map or struct
    stored: str

    def type(self) -> Any:
        """Return its type, as the JSON of schemas writes types."""
        element = _STORED.get(self.stored, "string")
        if self.collection in ("list", "set", "map"):
            return [self.collection, element]
        return element


@dataclass(frozen=True)
class Source:
    """The generated code of one type: its classes by name, and how its attributes are written."""

    classes: dict[str, str]
    written: dict[str, dict[str, Hcl]]  # by the name of the class, or "" for the type itself
    blocks: frozenset[str]

    def block(self, name: str, written_as: str) -> Block:
        """Return the attributes and blocks of a class."""
        found: Block = {"attributes": {}, "block_types": {}}
        written = self.written.get(written_as, {})
        for attribute, flags, code in _attributes(self.classes[name]):
            hcl = written.get(attribute)
            nested = _NESTED.search(code)
            if nested and nested[1].endswith(("List", "OutputReference", "Map")):
                self._add_nested(found, attribute, flags, nested, hcl)
            else:
                found["attributes"][attribute] = flags | {"type": _type(code, hcl)}
        return found

    def provider_block(self, name: str) -> Block:
        """Return the block of a provider's configuration: its nested blocks have no classes."""
        found: Block = {"attributes": {}, "block_types": {}}
        for attribute, hcl in self.written[""].items():
            inner = re.search(r"(\w+)ToHclTerraform", hcl.value)
            if hcl.is_nested and inner:
                block = {"attributes": self._optional(inner[1]), "block_types": {}}
                found["block_types"][attribute] = {"nesting_mode": "list", "block": block}
            else:
                found["attributes"][attribute] = {"optional": True, "type": hcl.type()}
        return found

    def _optional(self, function: str) -> dict[str, Any]:
        written = self.written.get(function[0].upper() + function[1:], {})
        return {name: {"optional": True, "type": hcl.type()} for name, hcl in written.items()}

    def _add_nested(
        self, found: Block, name: str, flags: Block, nested: re.Match[str], hcl: Hcl | None
    ) -> None:
        if nested[1] in ("StringMap", "NumberMap", "BooleanMap"):
            found["attributes"][name] = flags | {"type": _SIMPLE[nested[1]]}
            return
        is_many = not nested[1].endswith("OutputReference")
        base = nested[1].removesuffix("List").removesuffix("OutputReference").removesuffix("Map")
        inner = self.block(f"{base}OutputReference", base)
        mode = hcl.collection if hcl else ("set" if nested[2] == "true" else "list")
        if mode == "struct":
            mode = "single"
        if name in self.blocks and not flags.get("computed"):
            limits = {"min_items": int("required" in flags), "max_items": int(not is_many)}
            found["block_types"][name] = {
                "nesting_mode": mode, "block": inner, **({} if mode == "single" else limits),
            }  # fmt: skip
        elif hcl is None:
            found["attributes"][name] = flags | {"type": [mode, _object(inner)]}
        else:
            nesting = {"nesting_mode": mode, "attributes": inner["attributes"]}
            found["attributes"][name] = flags | {"nested_type": nesting}


def _attributes(code: str) -> Iterator[tuple[str, Block, str]]:
    """Yield name, flags and code of every attribute of a class."""
    marks = list(_ATTRIBUTE.finditer(code))
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        computed, optional, required = (mark[each] == "true" for each in (2, 3, 4))
        flags: Block = {"required": True} if required else {}
        if not required:
            flags = {"computed": True} if computed else {}
            if optional or not computed:
                flags["optional"] = True
        if mark[1].endswith("_wo"):  # by its name alone: the code does not say it
            flags["write_only"] = True
        yield mark[1], flags, code[mark.end() : after.start() if after else None]


def _type(code: str, hcl: Hcl | None) -> Any:
    if hcl:
        return hcl.type()
    getter = _GETTER.search(code)
    found = _SIMPLE.get(getter[1], "string") if getter else "string"
    if isinstance(found, list) and "tolist(" in code:
        return ["set", found[1]]
    return found


def _object(block: Block) -> Any:
    """Return the type of an object that is known only afterwards."""
    members: dict[str, Any] = {}
    for name, attribute in block["attributes"].items():
        nested = attribute.get("nested_type")
        members[name] = (
            [nested["nesting_mode"], _object(nested | {"block_types": {}})]
            if nested
            else attribute["type"]
        )
    for name, nested in block["block_types"].items():
        members[name] = [nested["nesting_mode"], _object(nested["block"])]
    return ["object", members]


def source(code: str, declarations: str) -> Source:
    """Return what the code of one type says."""
    code = code.split("//# sourceMappingURL", 1)[0]
    marks = list(_CLASS.finditer(code))
    ends = [mark.start() for mark in marks[1:]] + [len(code)]
    classes = {mark[1]: code[mark.start() : end] for mark, end in zip(marks, ends, strict=True)}
    functions = list(_FUNCTION.finditer(code))
    written = {
        mark[1][0].upper() + mark[1][1:]: _written(code[mark.end() : _end(code, mark.end())])
        for mark in functions
    }
    written[""] = _written(code.partition("synthesizeHclAttributes() {")[2])
    return Source(classes, written, frozenset(_REAL_BLOCK.findall(declarations)))


def _end(code: str, start: int) -> int:
    found = code.find("\n}", start)
    return found if found >= 0 else len(code)


def _written(code: str) -> dict[str, Hcl]:
    return {
        found[1]: Hcl(found[2], found[3] == "true", found[4], found[5])
        for found in _HCL.finditer(code)
    }


def read(wheel: Path, types: Collection[str]) -> Block:
    """Return the schemas of these types of resources and data sources, and of the provider.

    types: as a configuration names them, data sources with `data.` before them. Takes seconds.
    Raises NoSuchType.
    """
    found: Block = {"provider": {}, "resource_schemas": {}, "data_source_schemas": {}}
    for code, declarations in _packages(wheel):
        name, kind, class_name = _head(code)
        called = f"data.{name}" if kind == "data_source_schemas" else name
        if kind == "provider":
            said = source(code, declarations)
            found["provider"] = {"version": 0, "block": said.provider_block(class_name)}
        elif called in types:
            said = source(code, declarations)
            found[kind][name] = {"version": 0, "block": said.block(class_name, "")}
    missing = set(types) - {
        *found["resource_schemas"], *(f"data.{each}" for each in found["data_source_schemas"])
    }  # fmt: skip
    if missing:
        raise NoSuchType(f"No provider's schema has {', '.join(sorted(missing))}.")
    return found


def _head(code: str) -> tuple[str, str, str]:
    kind = next((mark for mark in _CLASS.finditer(code) if mark[2] in _KINDS), None)
    if kind is None:  # an ephemeral resource: nothing here has one
        return "", "", ""
    named = _TYPE.search(code)
    return named[1] if named else "", _KINDS[kind[2]], kind[1]


def _packages(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield code and declarations of each type that the wheel has."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(each for each in outer.namelist() if each.endswith(".tgz"))
        archive = io.BytesIO(outer.read(name))
    with tarfile.open(fileobj=archive, mode="r:gz") as inner:
        held: dict[str, dict[str, str]] = {}
        for member in inner:
            folder, _, file = member.name.rpartition("/")
            if file not in ("index.js", "index.d.ts") or folder.count("/") != 2:
                continue
            content = inner.extractfile(member)
            pair = held.setdefault(folder, {})
            pair[file] = content.read().decode() if content else ""
            if len(pair) == 2:
                del held[folder]
                if "static tfResourceType" in pair["index.js"]:
                    yield pair["index.js"], pair["index.d.ts"]


def write(wheel: Path, types: Collection[str], file: Path) -> None:
    """Write the schemas of these types where the schema-only provider reads them."""
    file.write_text(json.dumps(read(wheel, types)))
