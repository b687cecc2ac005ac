"""Which part of the portal answers which technical safeguard of HIPAA (45 CFR 164.312). Pure.

It is this product's reading of the rule, for the assessor's own: it maps what is asked to what is
there, and claims no more. The proposal of January 2025 to change the rule is not law.
"""

from dataclasses import dataclass
from enum import StrEnum


class Demand(StrEnum):
    """How the rule asks for it; addressable means: do it, or say why not and what instead."""

    REQUIRED = "Required"
    ADDRESSABLE = "Addressable"


@dataclass(frozen=True)
class Safeguard:
    """key: of the live state (states.py). asks: in short; answer: what the portal does about it.
    url_names: where to look, with words for each.
    """

    key: str
    clause: str
    demand: Demand
    asks: str
    answer: str
    url_names: tuple[tuple[str, str], ...] = ()


SAFEGUARDS = (
    Safeguard(
        "access",
        "164.312(a)(1)",
        Demand.REQUIRED,
        "Only persons and programs with access rights get to the data.",
        "Rights follow from roles and teams, nothing is open to somebody without one, and every "
        "role is looked at again by somebody else.",
        (
            ("oversight:access_report", "Access report"),
            ("oversight:role_review_list", "Roles due"),
        ),
    ),
    Safeguard(
        "identity",
        "164.312(a)(2)(i)",
        Demand.REQUIRED,
        "A unique name or number for each user.",
        "A person is the identity provider’s issuer and subject; accounts of one person are "
        "linked; nobody has a password here.",
        (("oversight:access_report", "Who may see or do what"),),
    ),
    Safeguard(
        "emergency",
        "164.312(a)(2)(ii)",
        Demand.REQUIRED,
        "A way to get to what is needed in an emergency.",
        "A platform engineer stops a rollout or rolls back alone and at once, and rolls forward in "
        "a stated emergency, which another person reviews in time.",
        (("promotions:emergency_list", "Emergencies"),),
    ),
    Safeguard(
        "logoff",
        "164.312(a)(2)(iii)",
        Demand.ADDRESSABLE,
        "A session ends by itself after a time without activity.",
        "Sessions end when they idle, and at the latest after their whole length; what was typed "
        "is not lost.",
    ),
    Safeguard(
        "at_rest",
        "164.312(a)(2)(iv)",
        Demand.ADDRESSABLE,
        "Data at rest can be encrypted and decrypted.",
        "Database, buckets and disks are encrypted by the platform that the portal runs on. No "
        "prompt and no answer is stored.",
    ),
    Safeguard(
        "audit",
        "164.312(b)",
        Demand.REQUIRED,
        "Activity in systems with the data is recorded and examined.",
        "Every state change writes an event in its own transaction, or does not happen. The record "
        "is sealed, signed, and anchored where its database cannot change it.",
        (("oversight:record", "The record"), ("oversight:evidence_list", "Evidence")),
    ),
    Safeguard(
        "integrity",
        "164.312(c)(1), (c)(2)",
        Demand.REQUIRED,
        "What is there is not altered or destroyed improperly, and one can tell.",
        "Model versions are signed, locked, and read again every day; what serves is held against "
        "what was approved for as long as it serves.",
        (("promotions:promotion_list", "Promotions and rollouts"),),
    ),
    Safeguard(
        "authentication",
        "164.312(d)",
        Demand.REQUIRED,
        "Whoever asks for access is who they say they are.",
        "People sign in at the identity provider; a decision asks for a fresh sign-in, by a method "
        "that can be named.",
    ),
    Safeguard(
        "transmission",
        "164.312(e)(1), (e)(2)(i), (e)(2)(ii)",
        Demand.REQUIRED,
        "Data that travels is guarded against reading and change.",
        "The portal’s own address, and those of identity provider, gateway, ServiceNow, metrics, "
        "broker, usage store and mail, are to be encrypted, and so is its database’s connection.",
    ),
)
