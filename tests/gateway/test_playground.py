"""The playground: the model's limits, why Send is off, and refusals in our words."""

import json
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from django.urls import reverse
from django.utils import timezone

from apps.access import actions as access
from apps.gateway.forms import PlaygroundForm
from apps.gateway.refusals import REFUSALS, in_our_words
from apps.integrations.engine.client import EngineClient
from tests.factories import RegisteredModelFactory
from tests.promotions import factories

pytestmark = pytest.mark.django_db


def wish():
    """Return what a team asks for."""
    ends = timezone.now().date() + timedelta(days=30)
    return access.Wish("Reading codes of packets.", "PUBLIC", 5000, Decimal(10), ends)


@pytest.fixture
def page(client, charlie):
    def get(model):
        client.force_login(charlie)
        return client.get(reverse("gateway:playground", args=[model.name])).content.decode()

    return get


class TestSend:
    def test_is_off_without_a_live_version_or_a_grant_and_says_why(
        self, page, registered_model, charlie, alice
    ):
        other = RegisteredModelFactory(name="summary")
        factories.live(other, 1)
        asked = access.submit_request(
            model=registered_model, wish=wish(), requester=charlie, now=timezone.now()
        )
        access.approve_request(request=asked, approver=alice, reason="Fits.", now=timezone.now())
        text = page(registered_model)
        assert "data-playground-send disabled" in " ".join(text.split())
        assert "nothing can answer" in text
        factories.live(registered_model, 2)
        text = page(registered_model)
        assert "disabled" not in text.partition("data-playground-send")[2][:40]
        assert "nothing can answer" not in text
        text = page(other)
        assert "so the gateway would refuse the call" in text


class TestLimits:
    def test_are_the_models(self):
        for tokens, most in ((2048, 2047), (131_072, 131_071), (100, 99)):
            body = {"prompt": "x", "temperature": 0}
            form = PlaygroundForm({**body, "max_tokens": most}, context_length=tokens)
            assert form.is_valid()
            over = PlaygroundForm({**body, "max_tokens": most + 1}, context_length=tokens)
            assert over.errors["max_tokens"] == [f"This model takes at most {most:,}."]
            assert form.fields["max_tokens"].initial == min(200, most)


class TestRefusals:
    def test_each_says_why_and_what_to_do(self):
        seen = set()
        for known in REFUSALS:
            said = in_our_words(known.status, "upstream words", context_length=9)
            assert (said == f"{known.why} {known.todo}") is (known.status not in seen)
            seen.add(known.status)
        assert seen >= {400, 401, 402, 403, 413, 429, 502}
        assert "418" in in_our_words(418, "teapot", context_length=9)

    @pytest.mark.parametrize(
        "said",
        [
            "This model's maximum context length is 2048 tokens.",
            "max_tokens=9 cannot be greater than max_model_len=8.",
        ],
    )
    def test_too_long_a_call_is_told_the_models_length(self, said):
        assert "exceed the 2,048 tokens" in in_our_words(400, said, context_length=2048)
        assert "2,048" not in in_our_words(400, "'messages' is wrong", context_length=2048)

    @pytest.mark.parametrize("code", ["insufficient_quota", "content_filter", "field_invalid"])
    def test_by_the_gate_are_told_in_its_own_words(self, code):
        said = "The monthly budget of team claims has too little left for this call."
        assert in_our_words(402, said, code=code, context_length=9) == said
        assert in_our_words(402, said, code="402", context_length=9) != said

    def test_reach_the_page_in_our_words_alone(
        self, client, charlie, registered_model, monkeypatch
    ):
        def reply(request):
            return httpx.Response(
                400, json={"error": {"message": "maximum context length", "code": 400}}
            )

        monkeypatch.setattr("apps.gateway.views.gateway_token", lambda request: "t")
        monkeypatch.setattr(
            "apps.gateway.views.EngineClient",
            lambda url, **more: EngineClient(url, transport=httpx.MockTransport(reply), **more),
        )
        client.force_login(charlie)
        where = reverse("gateway:playground_stream", args=[registered_model.name])
        answer = client.post(where, {"prompt": "x", "max_tokens": 5, "temperature": 0})
        error = json.loads(b"".join(answer))["error"]
        assert error["status"] == 400
        assert error["message"].endswith("Shorten one of them.")
