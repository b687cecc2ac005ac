"""Signing in as the run of a workflow: what is asked for again, and what ends it."""

import httpx
import pytest

from apps.cli.exits import Away, NotSignedIn
from apps.cli.pipelines import ATTEMPTS, PipelineTokens

PORTAL = "https://portal.example"
ENV = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://github.example/token?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-this-job",
}


class Seen(httpx.BaseTransport):
    """GitHub, which gives another token each time; and a portal that answers in turn."""

    def __init__(self, *answers):
        self.answers, self.given, self.sent = list(answers), 0, []

    def handle_request(self, request):
        if request.url.host == "github.example":
            assert request.url.params["audience"] == PORTAL
            self.given += 1
            return httpx.Response(200, json={"value": f"token-{self.given}"})
        self.sent.append(request.read().decode())
        return self.answers.pop(0)


def tokens(seen, slept):
    return PipelineTokens(ENV, PORTAL, PORTAL, transport=seen, sleep=slept.append)


def busy():
    return httpx.Response(503, headers={"Retry-After": "2"}, json={"code": "issuer_unavailable"})


def test_sends_another_token_of_the_run_while_the_portal_is_busy():
    good = httpx.Response(200, json={"access_token": "qmp_x", "expires_in": 900})
    seen, slept = Seen(busy(), busy(), good), []
    mine = tokens(seen, slept)
    assert (mine.current(), mine.current()) == ("qmp_x", "qmp_x")
    assert seen.sent == [f'{{"token":"token-{number}"}}' for number in (1, 2, 3)]
    assert slept == [2.0, 2.0]


def test_gives_up_in_the_end():
    seen, slept = Seen(*[busy() for _ in range(ATTEMPTS)]), []
    with pytest.raises(Away, match="answered 503"):
        tokens(seen, slept).current()
    assert len(slept) == ATTEMPTS - 1


def test_asks_once_where_it_is_refused():
    refused = httpx.Response(401, json={"code": "wrong_ref", "detail": "The run is of no ref."})
    seen, slept = Seen(refused), []
    with pytest.raises(NotSignedIn, match="The run is of no ref"):
        tokens(seen, slept).current()
    assert (seen.given, slept) == (1, [])
