"""What must hold before a version may be proposed, and still hold when it is approved. Pure: facts
in, words out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.capacity.fit import Fit
from apps.integrations.engine.identity import is_stand_in
from apps.manifests.serving_settings import Changed
from apps.promotions.binding import differences as binding
from apps.promotions.binding.differences import Difference

ONLY_SPOT = "every NodePool buys Spot machines only"
PROPOSED_BEFORE = "proposed before it was asked for"
NO_CARD = (
    "There is no model card. Publish a version with a README.md that says what the model is for, "
    "how it was made, and where it fails."
)
NO_LICENSE = (
    "No file says under what license it may be used. Publish a version with a LICENSE file, or "
    "with “license:” in the head of its README.md."
)


@dataclass(frozen=True)
class RunFacts:
    """The version's newest evaluation run on a suite that came to a result. engine: "" where it was
    not recorded. baseline: the name of the version that it was measured against, None for none.
    verdict: what the suite's rule made of it, as a sentence. partly: which of the suite's packets
    it asked, in words, where these are too few to decide; "" else.
    """

    id: str
    passed: bool
    report_digest: str
    engine: str = ""
    baseline: str | None = None
    verdict: str = ""
    partly: str = ""


@dataclass(frozen=True)
class Evidence:
    """Everything that eligibility depends on, as the rows have it now.

    Version names are `<model>-v<n>`. is_bound: there is a promotion already. differences: what is
    no longer as it was bound then; None where nothing was, which is how the first ones were made.
    bound_policy: the number of its policy, while that must stay in force.
    serving_class: "" while none was chosen. only_spot: every NodePool is known to buy Spot machines
    alone. run, suite: the first suite that judges the model; more: the others, each with its run.
    served_with: its settings in short; settings_problems: why nothing can be served with
    them. fit: what the pools can buy of them, None while there are none. evaluated_otherwise:
    settings that may change answers, in which the run differs from what is proposed.
    real_engine_required: by the policy. policy: the number of the one in force. retired: its model
    is gone.
    baseline_quarantined: what serves may be served no more. model_card: the file's name; license:
    where the version's files say what holds; "" for none.
    """

    version: str
    verified: bool
    version_status: str
    manifest_digest: str
    signature_digest: str
    run: RunFacts | None
    suite: str
    baseline: str | None
    more: Sequence[tuple[str, RunFacts | None]] = ()
    serving_class: str = ""
    only_spot: bool = False
    served_with: str = ""
    settings_problems: Sequence[str] = ()
    fit: Fit | None = None
    evaluated_otherwise: Sequence[Changed] = ()
    open_rollout: str | None = None
    failed_rollout: str | None = None
    real_engine_required: bool = False
    policy: int = 1
    differences: Sequence[Difference] | None = ()
    bound_policy: int | None = None
    is_bound: bool = False
    retired: bool = False
    baseline_quarantined: bool = False
    model_card: str = ""
    license: str = ""


@dataclass(frozen=True)
class Condition:
    """One condition: whether it holds, and in words what was found and, where it does not hold,
    what to do.
    """

    name: str
    passed: bool
    words: str


def evaluate_gates(facts: Evidence) -> list[Condition]:
    """Return every condition with its result, in the order people check them."""
    found = [
        _verified(facts),
        *_documents(facts),
        *_evaluation(facts),
        _not_live(facts),
        _free(facts),
        *_stays(facts),
        *_settings(facts),
        *_machines(facts),
    ]
    return [*found, *_bound(facts)] if facts.is_bound else found


def blocked(results: Sequence[Condition]) -> list[Condition]:
    """Return the conditions that do not hold."""
    return [result for result in results if not result.passed]


def _verified(facts: Evidence) -> Condition:
    if facts.verified and not facts.signature_digest:
        words = "The digest of its signature is not known yet; the registry is read again shortly."
        return Condition("Manifest", False, words)
    if facts.verified:
        return Condition("Manifest", True, f"{short(facts.manifest_digest)}, every file verified")
    words = (
        f"The version is {facts.version_status.lower()}. Only a verified version can serve; see "
        f"its page for why."
    )
    return Condition("Manifest", False, words)


def _documents(facts: Evidence) -> list[Condition]:
    """Return whether the version says what it is for and under what license. Files never change,
    so one that was proposed before this was asked for goes on.
    """
    card = facts.model_card or (facts.is_bound and PROPOSED_BEFORE)
    license = facts.license or (facts.is_bound and PROPOSED_BEFORE)
    return [
        Condition("Model card", bool(card), card or NO_CARD),
        Condition("License", bool(license), license or NO_LICENSE),
    ]


def _evaluation(facts: Evidence) -> list[Condition]:
    if not facts.suite:
        return [
            Condition(
                "Evaluation",
                False,
                "No suite judges this model. A model owner has one judge it, under Suites.",
            )
        ]
    every = [(facts.suite, facts.run), *facts.more]
    return [condition for suite, run in every for condition in _on_suite(suite, run, facts)]


def _on_suite(suite: str, run: RunFacts | None, facts: Evidence) -> list[Condition]:
    """Return whether a version passed a suite, against the version that serves now."""
    if run is None:
        words = (
            f"No finished evaluation run on the current suite {suite}. Start one on the "
            f"version's page."
        )
        return [Condition("Evaluation", False, words)]
    if not run.passed:
        words = f"The newest evaluation run on {suite} did not pass. {run.verdict}".strip()
        return [Condition("Evaluation", False, f"{words} Publish a better version.")]
    return [
        Condition("Evaluation", True, f"run {run.id[:8]} on {suite}: the rule is met"),
        *_asked(run),
        *_compared(run, facts),
        *_engine(run, facts.real_engine_required),
        _report(run),
    ]


def _asked(run: RunFacts) -> list[Condition]:
    """Return nothing but where the run asked too few of the suite's packets."""
    if not run.partly:
        return []
    words = f"The run asked {run.partly}. Start a run that asks the whole suite."
    return [Condition("Packets", False, words)]


def _compared(run: RunFacts, facts: Evidence) -> list[Condition]:
    """Return whether it was measured against the version that it would replace; nothing where it
    replaces none.
    """
    if facts.baseline in (None, facts.version):
        return []
    if facts.baseline_quarantined:
        words = f"{facts.baseline} serves and is quarantined, so nothing is measured against it"
        return [Condition("Measured against", True, words)]
    if run.baseline == facts.baseline:
        words = f"asked the same packets beside {facts.baseline}, in the same run"
        return [Condition("Measured against", True, words)]
    before = f"{run.baseline} served" if run.baseline else "no other version served"
    words = (
        f"The run is from when {before}; now {facts.baseline} does. Start a run, which measures "
        f"the version against that one."
    )
    return [Condition("Measured against", False, words)]


def _report(run: RunFacts) -> Condition:
    if run.report_digest:
        return Condition("Report", True, f"stored, {short(run.report_digest)}")
    return Condition("Report", False, "The run's report was not stored. Start a new run.")


def _engine(run: RunFacts, required: bool) -> list[Condition]:
    """Return whether a real engine answered, where the policy asks for one."""
    if not required:
        return []
    if is_stand_in(run.engine):
        words = (
            "The stand-in answered the evaluation, and it loads no model. The policy asks for a "
            "run by a real engine."
        )
        return [Condition("Engine", False, words)]
    if not run.engine:
        words = (
            "Which engine answered the evaluation was not recorded, and the policy asks for a real "
            "one. Start a new run."
        )
        return [Condition("Engine", False, words)]
    return [Condition("Engine", True, f"evaluated by {run.engine}")]


def _not_live(facts: Evidence) -> Condition:
    if facts.baseline == facts.version:
        words = (
            "This version already serves all callers. What it does while nobody calls was approved "
            "with it and cannot be changed while it serves: propose another version, which may "
            "have the same weights."
        )
        return Condition("Baseline", False, words)
    words = (
        f"compared with {facts.baseline}, live now"
        if facts.baseline
        else "nothing serves this model yet"
    )
    return Condition("Baseline", True, words)


def _free(facts: Evidence) -> Condition:
    if facts.open_rollout == facts.version:
        return Condition(
            "Rollout",
            False,
            "A rollout of this version is already under way. Follow it, or abort it.",
        )
    if facts.failed_rollout:
        words = (
            f"The failed rollout of {facts.failed_rollout} still holds its GPU. Retry it or take "
            f"it back first."
        )
        return Condition("Rollout", False, words)
    if facts.open_rollout:
        words = (
            f"the rollout of {facts.open_rollout} under way is superseded by an approval, and its "
            f"version taken back"
        )
        return Condition("Rollout", True, words)
    return Condition("Rollout", True, "no other rollout of this model")


def _stays(facts: Evidence) -> list[Condition]:
    """Return nothing but where its model is gone."""
    if not facts.retired:
        return []
    words = "The model is retired, so no version of it serves any more."
    return [Condition("Model", False, words)]


def _machines(facts: Evidence) -> list[Condition]:
    """Return whether machines of the kind that the serving class asks for may be bought at all."""
    if not facts.serving_class:
        return []
    spot = _spot(facts)
    return [spot, *_buyable(facts.fit)] if spot.passed else [spot]


def _buyable(fit: Fit | None) -> list[Condition]:
    """Return whether some NodePool can buy what the settings ask for."""
    if fit is None:
        return []
    return [Condition("NodePool", not fit.problem, fit.problem or fit.words)]


def _spot(facts: Evidence) -> Condition:
    if facts.serving_class != "WARM":
        return Condition("Machines", True, "Spot first, on demand where there is none")
    if facts.only_spot:
        words = (
            f"A warm version runs on no Spot machine, and {ONLY_SPOT}. Change one, or propose it "
            f"as scale to zero."
        )
        return Condition("Machines", False, words)
    return Condition("Machines", True, "on demand: a warm version runs on no Spot machine")


def _settings(facts: Evidence) -> list[Condition]:
    """Return whether a version can be served with its settings, and whether it was evaluated with
    those of them that may change its answers.
    """
    if not facts.serving_class:
        return []
    if facts.settings_problems:
        return [Condition("Serving settings", False, " ".join(facts.settings_problems))]
    if facts.evaluated_otherwise:
        told = "; ".join(
            f"{each.what}: evaluated with {each.was}, proposed with {each.found}"
            for each in facts.evaluated_otherwise
        )
        words = (
            f"{told}. This may change its answers: start an evaluation run with the settings that "
            "are proposed."
        )
        return [Condition("Serving settings", False, words)]
    return [Condition("Serving settings", True, facts.served_with)]


HOLDS = {
    binding.FILES: "manifest and signature are the proposed ones",
    binding.RUN: "the proposal's run is still the newest",
    binding.RULE: "suite and thresholds have not changed",
    binding.BASELINE: "the live version has not changed",
    binding.IMAGE: "the engine's image has not changed",
    binding.SETTINGS: "what it is served with has not changed",
    binding.COMMITS: "every step still writes the bytes that were proposed",
}
AGAIN = "Withdraw the proposal and make it again."


def _bound(facts: Evidence) -> list[Condition]:
    """Return whether everything is still as it was bound when it was proposed."""
    if facts.differences is None:
        words = f"It was proposed before an approval was bound to every byte. {AGAIN}"
        return [*_same_policy(facts), Condition("Binding", False, words)]
    found = [
        Condition(group, not _changed(facts, group), _words(group, _changed(facts, group)))
        for group in HOLDS
    ]
    return [*_same_policy(facts), *found]


def _changed(facts: Evidence, group: str) -> list[Difference]:
    return [each for each in facts.differences or () if each.group == group]


def _words(group: str, changed: Sequence[Difference]) -> str:
    """Return that nothing of a group changed, or what did and what to do."""
    if not changed:
        return HOLDS[group]
    if group == binding.FILES:
        return f"{' '.join(each.words for each in changed)} Reject this."
    if group == binding.RUN:
        return (
            "A newer evaluation run exists. Withdraw the proposal and make it again with that run."
        )
    if served := [each for each in changed if each.what == binding.SERVES]:
        return f"Proposed against {served[0].was}, but {served[0].found} serves now. {AGAIN}"
    return f"{' '.join(each.words for each in changed)} {AGAIN}"


def _same_policy(facts: Evidence) -> list[Condition]:
    """Return whether the policy is still the one that it was proposed under; nothing once it is
    approved, for then it goes on with that one.
    """
    if facts.bound_policy is None:
        return []
    if facts.bound_policy == facts.policy:
        return [Condition("Same policy", True, f"policy {facts.policy} is still in force")]
    words = (
        f"Proposed under policy {facts.bound_policy}, but policy {facts.policy} is in force now. "
        f"Withdraw the proposal and make it again."
    )
    return [Condition("Same policy", False, words)]


def short(digest: str) -> str:
    """Return the first twelve figures of a digest, as people quote it."""
    return digest.removeprefix("sha256:")[:12]
