"""An identity provider that hangs, fails or changes its keys, on a real socket, and many threads
that need it.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from apps.accounts import provider
from apps.accounts.models import User
from apps.accounts.provider import ProviderUnavailable
from apps.accounts.tokens import TokenRefused, verify
from tests.accounts.slow_idp import DISCOVERY, KEYS, TOKEN, running, signing_key

AUDIENCE = "quartermaster-api"


@pytest.fixture
def first():
    return signing_key("first")


@pytest.fixture
def second():
    return signing_key("second")


@pytest.fixture
def slow(settings, monkeypatch, first):
    """A provider that publishes one key. It is waited for patiently: machines may be busy."""
    monkeypatch.setattr(provider, "PATIENCE_SECONDS", 30.0)
    settings.OIDC_TIMEOUT = 30.0
    with running() as idp:
        idp.keys = [first]
        settings.OIDC_ISSUER = idp.url
        provider.forget()
        yield idp
        _settle()
    provider.forget()


@pytest.fixture
def hang(slow, settings, monkeypatch):
    """Have it hang for good from now on; then nobody need wait for long."""

    def begin():
        monkeypatch.setattr(provider, "PATIENCE_SECONDS", 0.4)
        settings.OIDC_TIMEOUT = 1.0
        slow.hangs = True

    return begin


def _settle(seconds=30.0):
    """Wait until no reading is under way."""
    until = time.monotonic() + seconds
    while provider._kept.reading is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert provider._kept.reading is None


def _asked(slow, count, seconds=30.0):
    """Return what the provider was asked for, once no reading is under way and it has heard of at
    least so many: a thread may give up before a busy machine has handed its question over.
    """
    _settle()
    until = time.monotonic() + seconds
    while len(slow.asked) < count and time.monotonic() < until:
        time.sleep(0.01)
    return slow.asked


def _age(seconds):
    """Let everything have happened so much earlier."""
    provider._kept.read_at -= seconds
    for failure in (provider._kept.failure, provider._kept.token_failure):
        if failure:
            failure.at -= seconds


def _ask(token):
    """Ask the API with a token."""
    return Client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})


def _at_once(count, function):
    """Call a function in so many threads at the same time; return what they returned."""
    barrier = threading.Barrier(count)

    def together(_):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(together, range(count)))


class TestAProviderThatHangs:
    def test_holds_few_and_is_asked_once(self, slow, hang, second):
        hang()
        token = slow.token(second)
        for answer in _at_once(10, lambda: _ask(token)):
            assert answer.status_code == 503
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == "identity_provider_unavailable"
            assert int(answer["Retry-After"]) >= 1
        assert _asked(slow, 1) == [DISCOVERY]

    def test_lets_a_few_wait_and_tells_the_next_one_at_once(self, slow, hang):
        hang()
        for _ in range(provider.MOST_WAITING):
            assert provider._kept.waiting.acquire(blocking=False)
        with pytest.raises(ProviderUnavailable, match="slowly"):
            provider.provider()
        provider._kept.waiting.release()
        with pytest.raises(ProviderUnavailable, match="did not answer"):
            provider.provider()

    def test_leaves_threads_to_others_while_the_keys_of_pipelines_hang(self, settings, slow, hang):
        settings.PIPELINE_ISSUER = settings.OIDC_ISSUER
        hang()
        assert provider.MOST_WAITING + provider.MOST_WAITING_FOR_PIPELINES < 8
        for _ in range(provider.MOST_WAITING_FOR_PIPELINES):
            assert provider._kept_of_pipelines.waiting.acquire(blocking=False)
        with pytest.raises(ProviderUnavailable, match=r"^The issuer of pipelines' tokens.* slowly"):
            provider.pipeline_keys("one")
        assert provider._kept.waiting.acquire(blocking=False)

    def test_is_remembered_so_that_nobody_waits_again(self, slow, hang, second):
        hang()
        _ask(slow.token(second))
        _settle()
        for _ in range(3):
            answer = _ask(slow.token(second))
            assert answer.status_code == 503
            assert 1 <= int(answer["Retry-After"]) <= provider.AGAIN_SECONDS
        assert _asked(slow, 1) == [DISCOVERY]
        _age(provider.AGAIN_SECONDS)
        _ask(slow.token(second))
        assert _asked(slow, 2) == [DISCOVERY, DISCOVERY]

    @pytest.mark.django_db
    def test_leaves_known_keys_good_and_calls_no_key_unknown(self, slow, hang, first, second):
        assert verify(slow.token(first), audience=AUDIENCE)["sub"] == "sub-of-maya"
        hang()
        _age(provider.AGAIN_SECONDS)
        with ThreadPoolExecutor(10) as threads:
            strangers = [threads.submit(_ask, slow.token(second)) for _ in range(9)]
            answer = _ask(slow.token(first))
            assert (answer.status_code, answer.json()["username"]) == (200, "maya")
            assert {stranger.result().status_code for stranger in strangers} == {503}
        _settle()
        assert _ask(slow.token(second)).status_code == 503
        assert _asked(slow, 3) == [DISCOVERY, KEYS, DISCOVERY]

    def test_renews_old_keys_behind_everybodys_back(self, slow, hang, first):
        verify(slow.token(first), audience=AUDIENCE)
        hang()
        _age(provider.KEEP_SECONDS + 1)
        for _ in range(3):
            verify(slow.token(first), audience=AUDIENCE)
        assert _asked(slow, 3) == [DISCOVERY, KEYS, DISCOVERY]

    def test_at_its_token_endpoint_holds_few_and_is_remembered(self, slow, hang):
        provider.provider()
        hang()

        def exchange():
            with pytest.raises(ProviderUnavailable):
                provider.request_tokens(grant_type="authorization_code", code="x")

        _at_once(10, exchange)
        assert 1 <= slow.asked.count(TOKEN) <= provider.MOST_WAITING
        asked = len(slow.asked)
        exchange()
        assert len(slow.asked) == asked

    def test_says_when_to_come_again_at_the_sign_in(self, hang):
        hang()
        answer = Client().get("/oidc/authenticate/")
        assert answer.status_code == 503
        assert int(answer["Retry-After"]) >= 1
        assert "You cannot sign in right now" in answer.content.decode()


class TestAProviderThatFails:
    def test_is_believed_again_once_it_answers(self, slow, first):
        slow.status = 500
        with pytest.raises(ProviderUnavailable):
            provider.provider()
        slow.status = 200
        with pytest.raises(ProviderUnavailable):
            provider.provider()
        _age(provider.AGAIN_SECONDS)
        assert verify(slow.token(first), audience=AUDIENCE)["sub"] == "sub-of-maya"


class TestSigningKeys:
    @pytest.mark.django_db
    def test_two_published_keys_are_both_good(self, slow, first, second):
        slow.keys = [first, second]
        for key in (first, second):
            answer = _ask(slow.token(key))
            assert (answer.status_code, answer.json()["username"]) == (200, "maya")
        assert User.objects.count() == 1
        assert _asked(slow, 2) == [DISCOVERY, KEYS]

    def test_a_new_key_is_found_and_an_old_one_forgotten(self, slow, first, second):
        verify(slow.token(first), audience=AUDIENCE)
        slow.keys = [second]
        _age(provider.AGAIN_SECONDS)
        verify(slow.token(second), audience=AUDIENCE)
        with pytest.raises(TokenRefused) as refused:
            verify(slow.token(first), audience=AUDIENCE)
        assert refused.value.reason == "unknown_key"

    def test_are_read_once_however_many_ask_and_not_at_every_try(self, slow, second):
        _at_once(4, lambda: provider.signing_keys("first"))
        for _ in range(3):
            answer = _ask(slow.token(second))
            assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")
        assert _asked(slow, 2) == [DISCOVERY, KEYS]
        _age(provider.AGAIN_SECONDS)
        for _ in range(3):
            assert _ask(slow.token(second)).json()["code"] == "unknown_key"
        assert _asked(slow, 4) == [DISCOVERY, KEYS] * 2

    def test_a_key_of_an_unknown_kind_does_not_spoil_the_rest(self, slow, first):
        slow.keys = [{"kty": "from the future", "kid": "new"}, first]
        assert verify(slow.token(first), audience=AUDIENCE)["sub"] == "sub-of-maya"
