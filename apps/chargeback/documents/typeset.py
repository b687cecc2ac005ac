"""Sets a statement as PDF/A-3b that screen readers can read (PDF/UA-1). Pure: the same facts become
the same bytes, in any process.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import typst
from django.conf import settings

from apps.chargeback.documents.facts import Facts

TEMPLATE = Path(__file__).with_name("statement.typ")


class CannotSet(Exception):
    """The statement cannot be set. The text says why, and what to do."""


@dataclass(frozen=True)
class Pdf:
    """A PDF in memory."""

    body: bytes

    @property
    def sha256(self) -> str:
        """Return its digest, as hex."""
        return hashlib.sha256(self.body).hexdigest()


def typeset(facts: Facts) -> Pdf:
    """Return the PDF of a statement, its files within. Raises CannotSet: no fonts, or a letter that
    they lack.
    """
    if not any(fonts().glob("*.ttf")):
        raise CannotSet(f"{fonts()} holds no fonts: run `make assets`, then try again.")
    at = facts.issued_at
    keys = [f"file{place}" for place in range(len(facts.attachments))]
    words = facts.words | {
        "date": [at.year, at.month, at.day],
        "files": [
            [key, one.name, one.about] for key, one in zip(keys, facts.attachments, strict=True)
        ],
    }
    files = {key: one.text for key, one in zip(keys, facts.attachments, strict=True)}
    try:
        body = typst.compile(
            TEMPLATE,
            font_paths=[fonts()],
            ignore_system_fonts=True,
            sys_inputs={"data": json.dumps(words), **files},
            pdf_standards=["a-3b", "ua-1"],
            timestamp=int(at.timestamp()),
        )
    except typst.TypstError as error:
        raise CannotSet(f"It cannot be set: {error}. Tell your platform team.") from error
    return Pdf(body)


def fonts() -> Path:
    """Return the folder of the fonts that `make assets` writes."""
    return Path(settings.ASSETS_DIR).parent / "fonts"
