"""What a reviewer sees of a promotion, as plain data. The page of a proposal that waits draws it
from the rows; the decision stores it, so that the page shows the very same for ever after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpResponse

from apps.common.canonical import digest_of, digest_of_bytes
from apps.evals.models import EvalRun, Side
from apps.evals.pages import metric_lines, rule_words, verdict_words
from apps.evals.runs.comparing import Measured
from apps.manifests.serving_settings import changes, lines
from apps.promotions import pages, queries, sleep
from apps.promotions.binding.bound import image_of, runs_of
from apps.promotions.binding.models import KeptBytes
from apps.promotions.emergencies.models import Emergency
from apps.promotions.gates import evaluate_gates, short
from apps.promotions.models import Promotion

FORMAT = "quartermaster.dev/dossier/v1"


@dataclass(frozen=True)
class Change:
    """The exact change to the GitOps repository, step by step (proposal.change_of), or why it could
    not be shown.
    """

    steps: Sequence[dict[str, Any]] = field(default=())
    problem: str = "Whoever decided was not shown the exact change."

    @property
    def digest(self) -> str:
        """Return "sha256:<hex>" of the steps; "" where nothing could be shown."""
        if self.problem:
            return ""
        return digest_of(list(self.steps))


def evidence(promotion: Promotion, change: Change, now: datetime) -> dict[str, Any]:
    """Return what is in front of the reviewer now. Reads rows alone; about twenty queries.

    conditions: [{name, passed, words}]; metrics: the lines of evals.pages, with rule and verdict of
    the suite; more_runs: the same of other suites that judge the model; facts: [[label, words]];
    settings: engine, image and what the version is served with; settings_changes: [[what, of the
    live version, as proposed]]; cost: effects.Effect.as_json();
    steps, problem: the change.
    """
    found = evaluate_gates(queries.evidence_for(promotion.model_version, now, promotion))
    run, baseline = promotion.eval_run, measured_baseline(promotion)
    return {
        "conditions": [
            {"name": item.name, "passed": item.passed, "words": item.words} for item in found
        ],
        "metrics": metric_lines(run),
        "baseline_run": str(baseline.run.pk) if baseline else "",
        "rule": rule_words(run.suite),
        "verdict": verdict_words(run),
        "more_runs": more_runs(promotion),
        "facts": [[label, words] for label, words in facts(promotion, now)],
        "settings": serving_settings(promotion),
        "settings_changes": settings_changes(promotion),
        "cost": promotion.cost_effect,
        "steps": list(change.steps),
        "problem": change.problem,
    }


def figures_of(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what the page itself shows of the evidence: everything but the change, which is loaded
    beside it and has a digest of its own.
    """
    return {name: value for name, value in shown.items() if name not in ("steps", "problem")}


def digest_shown(shown: dict[str, Any]) -> str:
    """Return "sha256:<hex>" of the figures that a page shows, which a decision over them names."""
    return digest_of(figures_of(shown))


def document(promotion: Promotion, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the dossier that a decision is over, as it is kept and digested: what is proposed, the
    binding, its changes in ServiceNow with who decided there, what was shown, and the approvals
    that count already, each with its own dossier. Two queries. shown: the evidence in front of the
    reviewer.
    """
    given = promotion.approvals.counting().select_related("approver")
    return {
        "format": FORMAT,
        "promotion": {
            "id": str(promotion.pk),
            "model": promotion.registered_model.name,
            "version": promotion.model_version.number,
            "requested_by": promotion.requested_by.username,
            "requested_at": promotion.requested_at.astimezone(UTC).isoformat(),
            "justification": promotion.justification,
            "without_traffic": promotion.without_traffic,
        },
        "changes": [
            {"number": one.number, "approval": one.approval, "approvers": one.approvers}
            for one in promotion.changes.all()
        ],
        "binding": promotion.binding,
        "binding_digest": promotion.binding_digest,
        "approvals": [
            {
                "by": each.approver.username,
                "at": each.decided_at.astimezone(UTC).isoformat(),
                "reason": each.reason,
                "dossier": each.dossier_digest,
            }
            for each in given
        ],
        "evidence": shown,
    }


def dossier_of(promotion: Promotion, digest: str = "") -> bytes | None:
    """Return the dossier that a promotion was decided over, byte for byte: the newest, or the one
    with a digest; None where there is none. Two queries.
    """
    rows = promotion.approvals.exclude(dossier_digest="")
    decided = rows.filter(dossier_digest=digest) if digest else rows
    found = decided.values_list("dossier_digest", flat=True).last()
    return KeptBytes.objects.contents([found]).get(found) if found else None


def file_of(promotion: Promotion, content: bytes) -> HttpResponse:
    """Return a dossier as a file: its bytes as they are, with their digest in the name."""
    name = f"{promotion.model_version.name}-dossier-{short(digest_of_bytes(content))}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type="application/json", headers=headers)


def kept(promotion: Promotion) -> dict[str, Any]:
    """Return the evidence that was decided over, or that an emergency did with, as it was then; {}
    while it waits, also for more approvals: whoever gives the next one sees what is so now.
    """
    if promotion.status == Promotion.Status.PENDING:
        return {}
    if promotion.status == Promotion.Status.EMERGENCY:
        found: dict[str, Any] = Emergency.objects.get(promotion=promotion).evidence
        return found
    decided = promotion.approvals.filter(voided_at=None).exclude(evidence={}).last()
    return decided.evidence if decided is not None else {}


def measured_baseline(promotion: Promotion) -> Measured | None:
    """Return the promotion's baseline as its own run measured it, side by side with the candidate;
    None where nothing served, or another version did when the run was asked for.
    """
    run = promotion.eval_run
    if promotion.baseline_id is None or run.baseline_id != promotion.baseline_id:
        return None
    return Measured(run, Side.BASELINE)


def runs_beside(promotion: Promotion) -> dict[str, EvalRun]:
    """Return suite's slug → the run on it, of the suites beside the first that judge the model, as
    they were bound. One query, or none.
    """
    named = runs_of(promotion.binding)
    rows = EvalRun.objects.filter(pk__in=[pk for pk in named.values() if pk])
    related = ("suite", "model_version__registered_model", "baseline__registered_model")
    return {run.suite.slug: run for run in rows.select_related(*related).order_by("suite__slug")}


def more_runs(promotion: Promotion) -> list[dict[str, str]]:
    """Return what the other suites' rules made of the version: {suite, run, verdict}."""
    return [
        {"suite": run.suite.title, "run": str(run.pk), "verdict": verdict_words(run)}
        for run in runs_beside(promotion).values()
    ]


def facts(promotion: Promotion, now: datetime) -> list[tuple[str, str]]:
    """Return what is proposed and what it costs while nobody calls, in words. Ten queries."""
    version, run, baseline = promotion.model_version, promotion.eval_run, promotion.baseline
    return [
        ("Manifest", promotion.manifest_digest),
        ("Signed by", version.signer or "not signed"),
        ("Version", version.name),
        ("Evaluation", f"run {str(run.pk)[:8]} on {run.suite}"),
        ("Report", short(run.report_digest)),
        ("Baseline", baseline.name if baseline else "nothing serves yet"),
        *((label, str(words)) for label, words in sleep.class_facts(promotion, now)),
        ("If too few calls arrive", pages.without_traffic(promotion)),
        ("Proposed by", f"{promotion.requested_by} ({promotion.requested_by.username})"),
        ("Why", promotion.justification),
    ]


def serving_settings(promotion: Promotion) -> list[list[str]]:
    """Return with what the version is served and rolled out, in words: [[label, words]]."""
    rules = promotion.policy_revision.rules
    steps = ", ".join(f"{percent} %" for percent in rules.steps)
    return [
        ["Engine of the evaluation", promotion.eval_run.engine or "not recorded"],
        ["Machine of the evaluation", promotion.eval_run.instance_type or "not recorded"],
        ["Image", image_of(promotion.binding) or settings.SERVING_IMAGE],
        ["Context", f"{promotion.registered_model.context_length:,} tokens"],
        *([label, words] for label, words in lines(promotion.settings)),
        ["Weights", steps if promotion.baseline else "100 %"],
        ["Each is held for", f"{rules.hold_seconds} s"],
        ["Calls needed of each", str(rules.minimum_calls)],
    ]


def settings_changes(promotion: Promotion) -> list[list[str]]:
    """Return what the version is served with otherwise than the one that serves now: [[what, was,
    is]]. One query.
    """
    served_with = queries.live_settings(promotion.registered_model)
    if served_with is None:
        return []
    found = changes(served_with, promotion.settings)
    return [[each.what, each.was, each.found] for each in found]
