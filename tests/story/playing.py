"""The playground, in the browser, as the signed-in person."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.story.calls import LONG_ANSWER, MODEL, Ledger, Usage
from tests.story.people import Person


def cannot_send(someone: Person, why: str) -> None:
    """See that Send is off without a grant, and why, before anything is typed in vain."""
    someone.open(f"/catalog/{MODEL}/playground/")
    someone.sees("Your team has no grant for this model.")
    expect(someone.page.get_by_role("button", name="Send")).to_be_disabled()
    someone.sees(why)
    someone.shot("playground-refused")


def answers(someone: Person, ledger: Ledger, *, version: str, stand_in: bool) -> Usage:
    """Send, see the answer being written, and read what it used and cost."""
    someone.open(f"/catalog/{MODEL}/playground/")
    someone.fill("Your message", LONG_ANSWER)
    someone.page.get_by_label("Longest answer (tokens)").fill("300")
    answer = someone.page.locator("[data-playground-answer]")
    answer.evaluate(
        "place => { window.lengths = new Set();"
        " new MutationObserver(() => window.lengths.add(place.textContent.length)).observe(place, "
        "{childList: true}) }"
    )
    someone.press("Send")
    expect(someone.page.locator('[data-fact="request_id"]')).not_to_have_text(
        "—", timeout=someone.patience * 1000
    )
    # the guard holds back the last hundred characters, so a short answer may come in one piece
    assert someone.page.evaluate("window.lengths.size") > 1, "the answer came in one piece"
    assert answer.inner_text()
    facts = {
        name: someone.page.locator(f'[data-fact="{name}"]').inner_text()
        for name in (
            "input_tokens",
            "cached_input_tokens",
            "output_tokens",
            "ttft_ms",
            "cost_usd",
            "version",
        )
    }
    assert re.fullmatch(r"\d+\.\d\d s", facts["ttft_ms"])
    assert facts["cost_usd"] == "< $0.01"
    exact = someone.page.locator('[data-fact="cost_usd"]').get_attribute("title") or ""
    assert re.fullmatch(r"\$0\.\d+", exact) and float(exact[1:]) > 0
    assert facts["version"] == version
    label = someone.page.get_by_text("The stand-in answered.")
    expect(label).to_be_visible() if stand_in else expect(label).to_be_hidden()
    someone.shot("playground")
    tokens = {"cached_tokens": int(facts["cached_input_tokens"])}
    return ledger.add({
        "prompt_tokens": int(facts["input_tokens"]),
        "completion_tokens": int(facts["output_tokens"]),
        "prompt_tokens_details": tokens,
    })  # fmt: skip


def stops(someone: Person, ledger: Ledger) -> None:
    """Ask for a long answer and press Stop at its first words: the call is unmetered."""
    someone.open(f"/catalog/{MODEL}/playground/")
    someone.fill("Your message", LONG_ANSWER)
    someone.page.get_by_label("Longest answer (tokens)").fill("600")
    someone.press("Send")
    expect(someone.page.locator("[data-playground-answer]")).not_to_be_empty(
        timeout=someone.patience * 1000
    )
    someone.press("Stop")
    someone.sees("Stopped by you.")
    ledger.unmetered += 1
