"""The first stations: a version is published from a folder, verified, and measured against the
suite.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from playwright.sync_api import expect

from tests.story.calls import MODEL
from tests.story.people import Person

FILES = (
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def publish(owner: Person, folder: Path, note: str) -> int:
    """Publish a folder as a new version in the browser, see it verified, and return its number."""
    owner.open(f"/catalog/{MODEL}/")
    owner.follow("Publish a version")
    owner.fill("What changed", note)
    owner.page.get_by_label("Folder with the model's files").set_input_files(folder)
    start = owner.page.get_by_role("button", name="Hash and upload")
    expect(start).to_be_enabled()
    for name in FILES:
        expect(owner.page.get_by_role("cell", name=name, exact=True)).to_be_visible()
    start.click()
    version_page = re.compile(rf"/catalog/{MODEL}/v(\d+)/$")
    owner.page.wait_for_url(version_page, timeout=owner.patience * 1000)
    found = version_page.search(owner.page.url)
    assert found
    return int(found.group(1))


def see_verified(owner: Person, number: int) -> str:
    """Watch a version become verified on its page, without loading it again; return its manifest
    digest.
    """
    owner.page.evaluate("window.sameDocument = true")
    expect(owner.badge()).to_have_text("Verified", timeout=owner.patience * 1000)
    assert owner.page.evaluate("window.sameDocument"), (
        "the page was loaded again instead of showing what happens"
    )
    digest = owner.fact("Manifest digest")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    assert "Not signed" not in owner.fact("Signed by")
    assert re.match(r"\d+ \w+ 2\d{3} \d\d:\d\d UTC", owner.fact("Locked until"))
    for name in FILES:
        row = owner.page.get_by_role("row", name=re.compile(rf"^{re.escape(name)}"))
        expect(row.get_by_text("Verified", exact=True)).to_be_visible()
    owner.shot("version-verified")
    assert owner.page.get_by_role("heading", level=1).inner_text().endswith(f"v{number}")
    return digest


def is_verified(owner: Person, number: int) -> None:
    """Wait until a version that somebody else published is verified."""
    owner.open(f"/catalog/{MODEL}/v{number}/")
    expect(owner.badge()).to_have_text("Verified", timeout=owner.patience * 1000)


def start_evaluation(owner: Person, number: int) -> str:
    """Start an evaluation run of a version from its page; return the run's address."""
    owner.open(f"/catalog/{MODEL}/v{number}/")
    owner.follow("Run evaluation")
    owner.press(f"Evaluate v{number}")
    owner.page.wait_for_url(re.compile(r"/evaluations/[0-9a-f-]{36}/$"))
    return owner.page.url.removeprefix(owner.stack.portal)


def see_evaluated(owner: Person, run: str, verdict: str) -> None:
    """Watch a run come to its verdict, and read the report whose digest is kept with the run."""
    owner.open(run)
    expect(owner.badge()).to_have_text(verdict, timeout=owner.patience * 1000)
    expect(owner.step("Packets asked and scored", "done")).to_be_visible()
    expect(owner.page.get_by_role("heading", name="Figures")).to_be_visible()
    with owner.page.expect_download() as download:
        owner.follow("Report (JSON)")
    content = Path(download.value.path()).read_bytes()
    assert owner.fact("Report digest") == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert len(json.loads(content)["candidate"]["packets"]) >= 20
    owner.shot(f"evaluation-{verdict.split()[0].lower()}")


def see_candidate_removed(owner: Person, run: str) -> None:
    """Watch a run's candidate leave the cluster."""
    owner.open(run)
    expect(owner.step("Candidate removed", "done")).to_be_visible(timeout=owner.patience * 1000)


def cannot_propose(owner: Person, number: int, why: str) -> None:
    """See that a version cannot be proposed, and that the page says why."""
    owner.open(f"/promotions/new/{MODEL}/{number}/")
    owner.sees("This version cannot be proposed yet.")
    owner.sees(re.compile(why))
    expect(owner.page.get_by_role("button", name=re.compile("^Propose v"))).to_have_count(0)
    owner.shot("proposal-blocked")
