"""Proposing, deciding by somebody else, and the rollout as its page shows it."""

from __future__ import annotations

import re
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.story.calls import MODEL
from tests.story.people import Person

# what a decision over the API repeats of what it was shown
SEEN = ("manifest_digest", "eval_run", "baseline", "figures")
PHASES = (
    "Committed to Git", "Applied by Argo CD", "Node claimed", "Node launched", "Node registered",
    "Node initialized",
    "Pod scheduled", "Weights pulled and checked", "Engine started", "Ready", "Serving all callers",
)  # fmt: skip
# Notes how many phases are done, each time the page shows another number, for as long as the
# document lives.
NOTE_PHASES = """() => {
  window.phasesDone = [];
  const look = () => {
    const done = document.querySelectorAll("[aria-labelledby=phases] li.step-done").length;
    if (done && done !== window.phasesDone.at(-1)) window.phasesDone.push(done);
  };
  look();
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


def propose(owner: Person, number: int, why: str) -> str:
    """Propose a version; return the promotion's address."""
    owner.open(f"/catalog/{MODEL}/v{number}/")
    owner.follow("Propose for production")
    owner.fill("Why should this version serve?", why)
    owner.page.get_by_label("May continue if too few calls arrive to compare it").check()
    owner.shot("proposal")
    owner.press(f"Propose v{number} for production")
    owner.page.wait_for_url(re.compile(r"/promotions/[0-9a-f-]{36}/$"))
    expect(owner.badge()).to_have_text("Proposed, needs 1 approval")
    return owner.page.url.removeprefix(owner.stack.portal)


def own_approval_is_refused(owner: Person, promotion: str) -> None:
    """See no way to approve one's own proposal: not on the page, not by its form, not over the
    API.
    """
    owner.open(promotion)
    owner.sees("You proposed this, so a reviewer decides.")
    expect(owner.page.get_by_role("button", name=re.compile("Approve"))).to_have_count(0)
    token = owner.stack.token(owner.username, "quartermaster-api")
    for decision in ("approve", "reject"):
        answer = decide_over_api(owner.stack.portal, token, promotion, decision)
        assert answer.status_code in (403, 409), answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.json()["code"] and answer.json()["detail"]
    cookies = {
        cookie["name"]: cookie["value"] for cookie in owner.context.cookies(owner.stack.portal)
    }
    form = {"csrfmiddlewaretoken": cookies["csrftoken"], "reason": "I am sure of it."}
    headers = {"Referer": owner.stack.portal + promotion}
    posted = owner.context.request.post(
        f"{owner.stack.portal}{promotion}approve/", form=form, headers=headers
    )
    assert posted.status in (403, 409, 422), posted.status
    owner.open(promotion)
    expect(owner.badge()).to_have_text("Proposed, needs 1 approval")


def decide_over_api(portal: str, token: str, promotion: str, decision: str) -> httpx.Response:
    """Decide on a promotion with exactly the evidence that the API shows."""
    address = f"{portal}/api/v1/promotions/{promotion.strip('/').rpartition('/')[2]}"
    with httpx.Client(
        headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
    ) as http:
        shown: dict[str, Any] = http.get(address).json()
        body = {name: shown[name] for name in SEEN}
        return http.post(f"{address}/{decision}", json=body | {"reason": "As the evidence says."})


def approve(reviewer: Person, promotion: str, digest: str, number: int, why: str) -> str:
    """Read the dossier, approve with a reason, and return the rollout's address."""
    reviewer.open("/promotions/")
    waiting = reviewer.page.get_by_role("region", name="Waits for you")
    waiting.get_by_role("link", name=re.compile(rf"{MODEL}-v{number}\b")).click()
    expect(reviewer.page).to_have_url(reviewer.stack.portal + promotion)
    assert reviewer.fact("Manifest") == digest
    expect(reviewer.page.get_by_role("row", name=re.compile("^F1")).first).to_be_visible()
    change = reviewer.page.locator("#promotion-diff")
    expect(change.get_by_text(f"serving/models/{MODEL}/v{number}.yaml").first).to_be_attached(
        timeout=30_000
    )
    expect(change.get_by_text(digest).first).to_be_attached()
    reviewer.shot("dossier")
    reviewer.fill("Reason", why)
    reviewer.page.get_by_role(
        "button",
        name=re.compile(
            rf"^Approve and roll out "
            rf"v{number}"
        ),
    ).click()
    reviewer.page.wait_for_url(re.compile(r"/rollouts/[0-9a-f-]{36}/$"))
    return reviewer.page.url.removeprefix(reviewer.stack.portal)


def see_rolled_out(someone: Person, rollout: str, number: int, digest: str) -> None:
    """Watch a first rollout phase by phase until it serves all callers, on the page that the
    approval led to.
    """
    expect(someone.page).to_have_url(someone.stack.portal + rollout)
    someone.page.evaluate(NOTE_PHASES)
    for phase in PHASES:
        expect(someone.step(phase, "done")).to_be_visible(timeout=someone.patience * 1000)
        if phase == "Applied by Argo CD":
            someone.shot("rollout-under-way")
    expect(someone.badge()).to_have_text("Live")
    seen = someone.page.evaluate("window.phasesDone")
    assert seen is not None, "the page was loaded again instead of showing what happens"
    assert seen == sorted(seen) and len(seen) >= 3 and seen[-1] == len(PHASES), (
        f"phases done, as they showed: {seen}"
    )
    expect(
        someone.page.get_by_text(f"Callers answered by v{number}").locator("xpath=..")
    ).to_contain_text("100")
    assert someone.fact("Approved digest") == digest
    someone.shot("rollout-live")
