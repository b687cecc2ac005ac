"""What a promotion would do to its model's cost a month, and what is said where that is unknown."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apps.chargeback.actions import allocate_day
from apps.chargeback.effects import effect_of
from apps.fleet.prices import list_price
from apps.manifests.serving_settings import USUAL
from apps.promotions.effects import cost_lines, keep_effect
from apps.promotions.models import Promotion
from tests.capacity import samples
from tests.factories import NOW, RegisteredModelFactory
from tests.fleet.machines import machine, replica
from tests.promotions import factories as promoted

LATER = NOW + timedelta(days=3)  # the fifth: the third and the fourth are whole days
SAME = {"instance_type": "g6.xlarge", "engine": "vllm 0.32.0"}


@pytest.fixture
def other(db):
    """Another model, whose machine costs a hundred times as much."""
    model = RegisteredModelFactory(name="other")
    dear = machine("dear", 0, 100, price="200", gpus=1)
    replica(dear, "other-v1", 0, 100)
    return model


def served(model, price="2", chosen=None, **run):
    """Let the first version serve since the second of November, on one machine for four days."""
    promoted.suite()
    live = promoted.live(model, 1, **(chosen or {}))
    live.measured = SAME | run  # beside the candidate, in its run
    own = machine("own", 0, 100, price=price, gpus=1, instance_type="g6.xlarge")
    replica(own, f"{model.name}-v1", 0, 100)
    for days in (1, 2):
        allocate_day(day=(NOW + timedelta(days=days)).date(), now=LATER)
    return live


def proposed(live, chosen=None, **run):
    candidate = promoted.version(live.registered_model, 2)
    theirs = {
        "baseline_engine": live.measured["engine"],
        "machines": {"BASELINE": {"instance_type": live.measured["instance_type"]}},
        "baseline_metrics": {"f1": 0.9} | live.measured.get("metrics", {}),
    }
    run = promoted.run(candidate, **(theirs | SAME | run))
    return Promotion.objects.create(
        registered_model=live.registered_model, model_version=candidate, eval_run=run,
        baseline=live.model_version, manifest_digest=candidate.manifest_digest,
        policy_revision=promoted.policy(live.registered_model),
        requested_by=live.promotion.requested_by, requested_at=NOW, justification="Better.",
        **(chosen or {}),
    )  # fmt: skip


@pytest.mark.usefixtures("other")
class TestEffectOf:
    def test_is_none_of_a_warm_version_on_the_same_machine(self, registered_model):
        found = effect_of(proposed(served(registered_model)), LATER)
        assert found.baseline_usd == found.candidate_usd == 2 * Decimal(730)
        assert found.words == (
            "Measured over 2 whole days. Both run on g6.xlarge. A warm version's machine runs "
            "whatever the traffic."
        )
        assert cost_lines(found.as_json()) == [
            ("Baseline a month", "about $1,460"), ("Candidate a month", "about $1,460"),
            ("Change", "none"),
        ]  # fmt: skip

    def test_follows_the_list_prices_of_other_machines(self, registered_model):
        promotion = proposed(served(registered_model), instance_type="p5.48xlarge")
        found = effect_of(promotion, LATER)
        assert found.candidate_usd == pytest.approx(1460 * Decimal("55.04") / Decimal("0.8048"))
        assert cost_lines(found.as_json())[2] == ("Change", "about $98,400 more")

    def test_follows_what_the_settings_ask_for(self, registered_model):
        samples.seen()
        two = replace(USUAL, gpus=2, tensor_parallelism=2, replicas_least=3, replicas_most=3)
        promotion = proposed(served(registered_model), {"serving_settings": two.as_json()})
        found = effect_of(promotion, LATER)
        half = list_price("g6.12xlarge") / 2
        assert found.candidate_usd == pytest.approx(1460 * 3 * half / list_price("g6.xlarge"))
        assert found.words.endswith(
            "It asks for 3 replicas on 2 of the 4 GPUs of g6.12xlarge, the baseline for 1 replica "
            "on g6.xlarge, by list price."
        )

    def test_tells_the_bounds_where_demand_sets_the_replicas(self, registered_model):
        samples.seen()
        several = replace(USUAL, replicas_most=3).as_json()
        found = effect_of(proposed(served(registered_model), {"serving_settings": several}), LATER)
        assert found.candidate_usd is None
        assert "by list price about $588 to about $1,760 a month" in found.words

    def test_compares_nothing_with_replicas_that_follow_demand(self, registered_model):
        samples.seen()
        several = {"serving_settings": replace(USUAL, replicas_most=3).as_json()}
        live = served(registered_model, chosen=several)
        two = replace(USUAL, replicas_least=2, replicas_most=2).as_json()
        found = effect_of(proposed(live, {"serving_settings": two}), LATER)
        assert found.candidate_usd is None
        assert "By list price it costs about $1,180 a month, whatever the traffic." in found.words

    def test_is_not_known_where_no_pool_is(self, registered_model):
        more = replace(USUAL, memory="24Gi").as_json()
        found = effect_of(proposed(served(registered_model), {"serving_settings": more}), LATER)
        assert found.candidate_usd is None
        assert "No machine with a list price is known" in found.words

    def test_follows_the_speed_of_a_version_that_sleeps(self, registered_model):
        asleep = {"serving_class": "SCALE_TO_ZERO"}
        live = served(registered_model, chosen=asleep,
                      metrics={"tokens_per_second": 40.0})  # fmt: skip
        found = effect_of(proposed(live, asleep, metrics={"tokens_per_second": 80.0}), LATER)
        assert found.candidate_usd == found.baseline_usd / 2
        assert found.words.endswith("80.0 tokens/s instead of 40.0.")

    @pytest.mark.parametrize(
        ("run", "chosen", "words"),
        [
            ({"instance_type": ""}, {}, "An evaluation's machine was not recorded."),
            ({"instance_type": "x9.large"}, {}, "x9.large or g6.xlarge has no list price."),
            ({}, {"serving_class": "SCALE_TO_ZERO"}, "What it does while nobody calls changes"),
        ],
    )
    def test_is_not_known_where_the_two_do_not_compare(self, registered_model, run, chosen, words):
        found = effect_of(proposed(served(registered_model), chosen=chosen, **run), LATER)
        assert (found.baseline_usd, found.candidate_usd) == (1460, None)
        assert words in found.words
        assert cost_lines(found.as_json())[1:] == [("Candidate a month", "not known")]

    def test_is_not_known_without_a_price_or_a_whole_day(self, registered_model):
        promotion = proposed(served(registered_model, price=None))
        assert "has no price" in effect_of(promotion, LATER).words
        early = effect_of(promotion, NOW + timedelta(hours=1))
        assert (early.baseline_usd, early.candidate_usd) == (None, None)
        assert "has not served a whole day yet" in early.words

    def test_is_not_known_where_nothing_serves(self, registered_model):
        promotion = proposed(served(registered_model))
        promotion.baseline = None
        assert effect_of(promotion, LATER).words.startswith("Nothing serves this model yet")


def test_is_kept_while_the_promotion_waits_and_not_after(registered_model, other):
    promotion = proposed(served(registered_model))
    found = effect_of(promotion, LATER)
    assert keep_effect(promotion=promotion, effect=found)
    promotion.refresh_from_db()
    assert promotion.cost_effect == found.as_json()
    Promotion.objects.filter(pk=promotion.pk).update(status="REJECTED", decided_at=LATER)
    assert not keep_effect(promotion=promotion, effect=found.with_words("Later."))
    promotion.refresh_from_db()
    assert promotion.cost_effect["words"] == found.words
