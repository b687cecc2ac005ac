"""The loader in a rehearsal: the product's own program, with a registry behind it that loses an
object or delivers a wrong byte.

`python -m deploy.local.kubelet.rehearsal FAULT SOURCE FOLDER --message=FILE`
"""

from __future__ import annotations

import io
import sys
from typing import Any

from deploy.local.kubelet.faults import CHECKSUM, OBJECT_MISSING
from deploy.serving import loader


class FaultyRegistry:
    """The registry's client, whose files of a version go wrong; its documents do not."""

    def __init__(self, s3: Any, fault: str) -> None:
        self._s3, self._fault = s3, fault

    def get_paginator(self, name: str) -> Any:
        """Return the client's own."""
        return self._s3.get_paginator(name)

    def get_object(self, **where: str) -> Any:
        """Return an object, its first bit turned; or ask for one that is not there."""
        key = where["Key"]
        if key.rpartition("/")[2] in loader.DOCUMENTS:
            return self._s3.get_object(**where)
        if self._fault == OBJECT_MISSING:
            return self._s3.get_object(**where | {"Key": f"{key}.not-there"})
        found = self._s3.get_object(**where)
        if self._fault == CHECKSUM:
            content = found["Body"].read()
            found["Body"] = io.BytesIO(bytes([content[0] ^ 1]) + content[1:])
        return found


def main(arguments: list[str]) -> int:
    """Load a version from a registry with a fault; return the exit code."""
    fault, *rest = arguments
    return loader.main(rest, connect=lambda: FaultyRegistry(loader.connect(), fault))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
