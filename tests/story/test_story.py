"""The story: one version on its whole way, from a folder of weights to tokens charged to a cost
center.

Nine persons, each in a browser of their own, and callers with plain HTTP, against the processes
that `make up` runs. Nothing is written but by page and public API.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.story import granting, money, overseeing, playing, promoting, publishing
from tests.story.calls import MODEL, Caller, Ledger, expired, forged, unsigned
from tests.story.overseeing import TEAM
from tests.story.people import Person, person

pytestmark = pytest.mark.timeout(3600, func_only=True)
TOKENS_PER_MINUTE = 6000


@pytest.fixture
def cast(browser, stack, watch, patience) -> Iterator[dict[str, Person]]:
    """Everybody of the story, signed in, each in a browser of their own."""
    more: dict[str, dict[str, Any]] = {"liam": {"team": "prior-auth"}, "nora": {"status": 403}}
    with ExitStack() as browsers:

        def seat(name: str) -> Person:
            return browsers.enter_context(
                person(browser, name, stack, watch, patience=patience, **more.get(name, {}))
            )

        names = ("owen", "orla", "rita", "maya", "liam", "fiona", "aisha", "nora", "pete")
        yield {name: seat(name) for name in names}


def call(stack, persona: str, ledger: Ledger, patience: float, team: str = "") -> Caller:
    """Return a caller with the persona's own token for the gateway."""
    return Caller(
        stack.gateway, stack.token(persona, "quartermaster-gateway", team=team), ledger, patience
    )


def test_one_version_from_its_weights_to_a_charged_token(cast, stack, engine, patience, tmp_path):
    ledger, stand_in = Ledger(), engine == "stand-in"
    weights = Path(stack.part("sample-weights")["address"]) / "smollm2"
    owen, rita, maya, fiona = cast["owen"], cast["rita"], cast["maya"], cast["fiona"]
    month_before = money.month(fiona)
    calls_before = len(money.csv_lines(fiona, "/usage/?format=csv"))

    # A version that drops codes does not pass; a good one is published, verified and does.
    publishing.is_verified(owen, 2)
    dropping = publishing.start_evaluation(owen, 2)
    number = publishing.publish(owen, weights, "The same weights, published from the browser.")
    digest = publishing.see_verified(owen, number)
    publishing.see_evaluated(owen, dropping, "Not passed")
    publishing.cannot_propose(owen, 2, "did not pass")
    publishing.cannot_propose(owen, number, "No finished evaluation run")
    passing = publishing.start_evaluation(owen, number)
    publishing.see_evaluated(owen, passing, "Passed")

    # Proposed by one person, decided by another, and followed until it serves.
    promotion = promoting.propose(
        owen, number, "It answers every packet that the first version answered."
    )
    promoting.own_approval_is_refused(owen, promotion)
    rollout = promoting.approve(
        rita, promotion, digest, number, "Same figures, same files, nothing served before."
    )
    promoting.see_rolled_out(rita, rollout, number, digest)

    # A team without a grant is refused; its lead asks, an owner decides, and the gateway lets it
    # in.
    playing.cannot_send(maya, "so the gateway would refuse the call")
    request = granting.request_access(
        maya, TOKENS_PER_MINUTE, "Reading the codes of packets before a nurse does."
    )
    granting.is_not_there_for(cast["liam"], request)
    grant = granting.grant_access(cast["orla"], request, TEAM, "Fits what the model is for.")
    granting.see_policy_active(cast["orla"], TEAM)

    # The team calls, in the playground and by HTTP, and every bad call is answered well.
    version = f"{MODEL}-v{number}"
    playing.answers(maya, ledger, version=version, stand_in=stand_in)
    playing.stops(maya, ledger)
    good_calls(stack, ledger, patience)
    bad_tokens(stack, ledger, patience)
    bad_calls(stack, ledger, patience)
    too_many_tokens(stack, ledger, patience)

    # Finance reads the tokens that those answers told, and nothing else.
    overseeing.see_calls(fiona, ledger, calls_before)
    overseeing.see_charged(fiona, month_before, ledger, version=version)
    overseeing.see_spent(maya, grant)
    keep_readme_picture(fiona)

    # The record has each change once, and can be verified without us; who has no role sees what is
    # missing; a grant ends when its owner says so.
    see_recorded(cast["aisha"], number, promotion, rollout, request, grant)
    overseeing.takes_the_record_away(cast["aisha"], tmp_path)
    see_platform(cast["pete"], rollout, number)
    overseeing.sees_what_is_missing(cast["nora"])
    granting.revoke(cast["orla"], grant, "The story is over.")
    with call(stack, "maya", ledger, patience) as someone:
        someone.is_refused_soon(403, "no_grant", seconds=patience)
    publishing.see_candidate_removed(owen, passing)
    publishing.see_candidate_removed(owen, dropping)


def good_calls(stack, ledger: Ledger, patience: float) -> None:
    """Call plainly and streamed, hang up in the middle, and try to be another team."""
    with call(stack, "maya", ledger, patience) as maya:
        used = maya.ask()
        assert used.input > 40
        assert maya.ask().input == used.input
        maya.ask_streamed()
        maya.ask(
            headers={"x-team": "prior-auth", "x-cost-center": "CC-4200", "x-user-id": "somebody"}
        )
        maya.ask_and_hang_up()


def bad_tokens(stack, ledger: Ledger, patience: float) -> None:
    """Call without a token, with a broken one, and with one that is meant for something else."""
    good = stack.token("maya", "quartermaster-gateway")
    refusals = {
        "token_missing": "",
        "token_malformed": "not-a-token",
        "bad_signature": forged(good),
        "token_expired": expired(good, stack.state),
        "wrong_audience": stack.token("maya", "quartermaster-api"),
        "algorithm_not_allowed": unsigned(good),
    }
    for code, token in refusals.items():
        with Caller(stack.gateway, token, ledger, patience) as someone:
            someone.is_refused(401, code)


def bad_calls(stack, ledger: Ledger, patience: float) -> None:
    """Send what is no call, ask for what is not there, and ask as a team without a grant."""
    with call(stack, "maya", ledger, patience) as maya:
        maya.is_refused(
            400, "invalid_json", "not valid JSON", content=b'{"model": "prior-auth-extract", '
        )
        maya.is_refused(400, "model_missing", content=b'{"messages": []}')
        maya.is_refused(404, "model_not_found", "no-such-model", model="no-such-model")
    with call(stack, "liam", ledger, patience, team="prior-auth") as liam:
        liam.is_refused(403, "no_grant", "prior-auth", MODEL, stack.portal)


def too_many_tokens(stack, ledger: Ledger, patience: float) -> None:
    """Use up the minute's tokens and read what was exceeded, and when it may be tried again."""
    with call(stack, "maya", ledger, patience) as maya:
        said = maya.uses_up(TOKENS_PER_MINUTE)
        for word in (TEAM, MODEL, f"{TOKENS_PER_MINUTE}", "resets in"):
            assert word in said, said
    assert ledger.total().cached > 0, "the same long prompt was never cached"


def see_recorded(
    aisha: Person, number: int, promotion: str, rollout: str, request: str, grant: str
) -> None:
    """Find every transition in the record, each once."""
    ids = [overseeing.id_of(address) for address in (promotion, rollout, request, grant)]
    assert overseeing.events_about(aisha, *ids) == {
        "promotion.requested": 1, "promotion.approved": 1,
        "rollout.started": 1, "rollout.committed": 2, "rollout.finished": 1,
        "access.requested": 1, "access.approved": 1, "grant.created": 1,
    }  # fmt: skip
    aisha.open(f"/audit/?q={MODEL}-v{number}")
    for label in (
        "Version upload started",
        "Version uploaded",
        "Manifest signed and locked",
        "Version verified",
    ):
        aisha.sees(label)
    aisha.shot("audit")


def see_platform(pete: Person, rollout: str, number: int) -> None:
    """See as a platform engineer what serves, and that a promotion is not his to decide."""
    pete.open(rollout)
    assert pete.fact("Node")
    pete.open(f"/catalog/{MODEL}/")
    pete.sees(f"Live v{number}")
    pete.shot("model")


def keep_readme_picture(fiona: Person) -> None:
    """Write the README's picture where STORY_PICTURE says so."""
    path = os.environ.get("STORY_PICTURE", "")
    if path:
        fiona.open("/chargeback/")
        fiona.picture(Path(path), full=False)
