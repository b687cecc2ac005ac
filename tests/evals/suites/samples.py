"""A team's own suite as tests send it."""

import json

TEXT = "S: Has type 2 diabetes and gout (M10.9).\nP: Asks for a glucose monitor (E2103).\n"
QUESTION = {
    "form": "codes", "system": "You copy codes.", "ask": "Packet:\n{packet}\nReturn the codes.",
    "examples": [], "max_tokens": 60,
}  # fmt: skip


def packet(**changes):
    """Return a packet as a person writes it."""
    found = {
        "id": "p-1",
        "text": TEXT,
        "sections": [{"name": "history", "begins": "S:"}, {"name": "plan", "begins": "P:"}],
        "codes": [{"code": "E11.9", "evidence": "type 2 diabetes"}, "M10.9", "e2103"],
        "claims": [{"text": "The member has gout.", "evidence": "gout (M10.9)"}],
        "criteria": [{"id": "C1", "text": "Has diabetes.", "finding": "met"}],
    }
    return found | changes


def suite(*, model="extract", slug="claims-codes", **changes):
    """Return a suite as a person writes it, with one packet."""
    found = {
        "slug": slug, "title": "Codes of claims", "judges": [model],
        "thresholds": {"f1": {"minimum": 0.7}}, "question": QUESTION, "packets": [packet()],
    }  # fmt: skip
    return found | changes


def document(**changes) -> bytes:
    """Return a suite as a file of JSON, each packet on lines of its own."""
    return json.dumps(suite(**changes), indent=1).encode()


def lines(*packets, **changes) -> bytes:
    """Return a suite as JSON Lines."""
    header = suite(**changes)
    del header["packets"]
    return "\n".join(json.dumps(each) for each in (header, *packets)).encode()
