"""Access: asking for a model, another person's decision, and the gateway that carries it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.story.calls import MODEL
from tests.story.people import Person


def request_access(lead: Person, tokens_per_minute: int, why: str) -> str:
    """Ask for the model in the name of the lead's team; return the request's address."""
    lead.open(f"/catalog/{MODEL}/")
    lead.follow("Request access")
    lead.fill("What will your team do with it?", why)
    lead.page.get_by_label("Most sensitive data you will send").select_option(index=0)
    lead.fill("Packets a day", "200")
    lead.fill("Pages in each", "8")
    lead.fill("Tokens read for a page", "600")
    lead.fill("Tokens written for a page", "120")
    expect(lead.page.locator("#estimate")).to_contain_text("200 packets of 8 pages a day")
    lead.fill("Tokens per minute", str(tokens_per_minute))
    lead.fill("Monthly budget (USD)", "25")
    lead.shot("access-request")
    lead.press(f"Ask for {MODEL}")
    lead.page.wait_for_url(re.compile(r"/access/requests/[0-9a-f-]{36}/$"))
    expect(lead.badge()).to_have_text("Waiting for the owner")
    expect(lead.page.get_by_role("button", name=re.compile("^Give "))).to_have_count(0)
    return lead.page.url.removeprefix(lead.stack.portal)


def is_not_there_for(stranger: Person, request: str) -> None:
    """See that another team's request does not exist for a stranger."""
    stranger.open(request, status=404)


def grant_access(owner: Person, request: str, team: str, why: str) -> str:
    """Approve a request; return the grant's address."""
    owner.open("/access/")
    waiting = owner.page.get_by_role("region", name="Waits for you")
    waiting.get_by_role("link", name=re.compile(rf"{team}.*{MODEL}")).first.click()
    expect(owner.page).to_have_url(owner.stack.portal + request)
    owner.fill("Reason", why)
    owner.press(re.compile(f"^Give .*{MODEL}"))
    expect(owner.badge()).to_have_text("Approved")
    owner.follow("Open the resulting grant")
    expect(owner.badge()).to_have_text("Active")
    return owner.page.url.removeprefix(owner.stack.portal)


def see_policy_active(owner: Person, *teams: str) -> None:
    """Wait until the cluster carries the policy of the present grants, which name these teams."""
    badge = owner.badge()
    owner.open(f"/catalog/{MODEL}/policy/")
    for _ in range(int(owner.patience)):
        if badge.inner_text() == "Policy in effect":
            break
        owner.page.wait_for_timeout(1000)
        owner.open(f"/catalog/{MODEL}/policy/")
    expect(badge).to_have_text("Policy in effect")
    for team in teams:
        expect(owner.page.get_by_role("link", name=team, exact=True)).to_be_visible()
    owner.shot("policy")


def revoke(owner: Person, grant: str, why: str) -> None:
    """End a grant."""
    owner.open(grant)
    owner.fill("Reason", why)
    owner.press(re.compile("^Refuse "))
    expect(owner.badge()).to_have_text("Ended")
