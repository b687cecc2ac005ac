"""What models and versions are called: `extract`, `extract-v3`, as everywhere in the portal."""

import re
from dataclasses import dataclass

from apps.cli.exits import BadUse

_MODEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?\Z")
_NAME = re.compile(r"(?P<model>[a-z](?:[-a-z0-9]*[a-z0-9])?)-v(?P<number>[1-9][0-9]{0,4})\Z")


@dataclass(frozen=True)
class VersionName:
    """A version by its model and number."""

    model: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}-v{self.number}"

    @property
    def path(self) -> str:
        """Return its address below /api/v1."""
        return f"models/{self.model}/versions/{self.number}"


def model_name(text: str) -> str:
    """Return a model's name, which is part of an address. Raises BadUse for anything else."""
    if _MODEL.match(text) is None:
        raise BadUse(f"{text!r} is not the name of a model.")
    return text


def version_name(text: str) -> VersionName:
    """Return what a name says. Raises BadUse for anything but `<model>-v<number>`."""
    found = _NAME.match(text)
    if found is None:
        raise BadUse(
            f"{text!r} is not the name of a version. Write the model and its number, such as "
            "extract-v3."
        )
    return VersionName(found["model"], int(found["number"]))
