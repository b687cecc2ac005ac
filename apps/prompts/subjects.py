"""Whose record a call is: a member's, a case's, or else its team's.

A caller names the member or the case in a header. The name is hashed with a secret of the
deployment as soon as it is read, and the headers go no further: nothing of the product ever holds
the name itself. Whoever knows a name comes to the same token again, which is how a member's record
is found, held and erased; without the secret nobody does. Pure but for the secret.
"""

import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings
from django.db import models

MEMBER_HEADER, CASE_HEADER = "x-member-key", "x-case-key"
HEADERS = (MEMBER_HEADER, CASE_HEADER)  # which the gateway takes away before the engine
LONGEST = 200  # characters of a name
SECRET_ID = 12  # hexadecimal digits that tell one secret from another


class SubjectKind(models.TextChoices):
    """Whose keys a record is under."""

    MEMBER = "MEMBER", "Member"
    CASE = "CASE", "Case"
    TEAM = "TEAM", "Team"


class BadName(ValueError):
    """A header names nobody: in words for the caller, without what it holds."""


@dataclass(frozen=True)
class Subject:
    """Whose record. token: the keyed hash of a name, in hexadecimal; a team's slug. secret: which
    secret hashed it, "" for a team.
    """

    kind: SubjectKind
    token: str
    secret: str = ""


def subject_of(headers: Mapping[str, str]) -> Subject | None:
    """Return whose record a call is by its headers (names in lower case): the member's where both
    are named, None where neither is. Raises BadName.
    """
    for name, kind in ((MEMBER_HEADER, SubjectKind.MEMBER), (CASE_HEADER, SubjectKind.CASE)):
        if name in headers:
            try:
                if "," in headers[name]:  # or the header was sent twice, which looks the same
                    raise BadName("It must be one name, without commas.")
                return named_subject(kind, headers[name])
            except BadName as error:
                raise BadName(f"{name}: {error}") from None
    return None


def team_subject(team: str) -> Subject:
    """Return the subject of a call that names nobody."""
    return Subject(SubjectKind.TEAM, team)


def named_subject(kind: SubjectKind, name: str) -> Subject:
    """Return a member or a case by name. Upper and lower case, and blanks around it, make no other
    name. Raises BadName for an empty one, one that is too long or cannot be printed.
    """
    plain = _plain(name)
    if not plain or len(plain) > LONGEST or not plain.isprintable():
        raise BadName(f"It must be 1 to {LONGEST} characters that can be printed.")
    token = hmac.digest(_secret(), f"{kind}:{plain}".encode(), sha256).hex()
    return Subject(kind, token, secret_id())


def is_named_in(name: str, text: str) -> bool:
    """Tell whether a text that is kept says a name that must not be. Upper and lower case are the
    same; names of a letter or two are too common to tell.
    """
    plain = _plain(name)
    return len(plain) > 2 and plain in _plain(text)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def secret_id() -> str:
    """Return what tells the present secret from others, and says nothing about it."""
    return hmac.digest(_secret(), b"which secret", sha256).hex()[:SECRET_ID]


def _secret() -> bytes:
    return (settings.PROMPT_SUBJECT_KEY or f"prompt subjects {settings.SECRET_KEY}").encode()
