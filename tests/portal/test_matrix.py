"""Who may open which door: every address of the portal, for every persona. An address without a
line here fails.

Pages: 302 leads somebody who has not signed in to the identity provider, and somebody without a
role to the page that says what is missing. 404 where the thing is not this person's to see; 403
where they see it but may not do this.
"""

import json
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from django.utils import timezone

from apps.accounts.pipelines.rules import Pusher
from apps.gateway.guard.shipped import SHIPPED
from apps.notices.models import Kind
from apps.promotions.policy.rules import Rules
from portal.api import UnknownAddress
from tests.accounts.pipelines import samples as pipelines
from tests.catalog import intakes
from tests.evals.suites import samples as suite_samples
from tests.portal import cast

pytestmark = pytest.mark.django_db

REASON = {"reason": "Fits the purpose."}
FORM, JSON = "form", "json"
SOON = (timezone.now() + timedelta(days=20)).date().isoformat()
WISH = {
    "purpose": "Read codes from packets.", "data_class": "PHI", "tokens_per_minute": 1000,
    "monthly_budget_usd": 50,
    "expires_date": SOON,
}  # fmt: skip
GOES = {"last_day": SOON, "note": "Call the other model from then on."}
WORK = {
    "packets_a_day": 200, "pages_a_packet": 8, "hours_a_day": 10, "days_a_week": 5,
    "input_tokens_a_page": 600, "output_tokens_a_page": 120,
}  # fmt: skip
MODEL = {
    "name": "new-model", "title": "New", "description": "New", "task": "Text", "family": "SmolLM2",
    "parameter_count": 1, "context_length": 1, "license": "MIT", "data_class": "PHI",
}  # fmt: skip
INTAKE = {
    **{name: value for name, value in vars(intakes.WISH).items() if name != "config"},
    "config": dict(intakes.WISH.config), "owner_team": "ml-platform",
    "load": vars(intakes.LOAD),
}  # fmt: skip
INTAKE_FORM = {
    **{name: value for name, value in INTAKE.items() if name not in ("weight_bytes", "load")},
    "weight_gib": 14.96, "owner_team": "{owner_team}",
    # braces name the world's ids
    "config": json.dumps(INTAKE["config"]).replace("{", "{{").replace("}", "}}"),
    "context": 2200, "answer": 200, "callers": 8,
}  # fmt: skip
PROMISE = {"target_percent": "97.5", "window_days": 14} | REASON
FILES = [
    {"name": "config.json", "size": 10, "sha256": "a" * 64},
    {"name": "m.safetensors", "size": 9, "sha256": "b" * 64},
]
PRICE = {
    "model": "unpriced", "input": 1, "cached_input": 1, "output": 1,
    "active_from": "2030-01-01T00:00", "justification": "As agreed with the owner.",
}  # fmt: skip
PRICES = {
    "model": "unpriced", "prices": {"INPUT": "1"}, "active_from": "2030-01-01T00:00:00Z",
    "justification": "As agreed with the owner.",
}  # fmt: skip
CONTRACT = {
    "instance_type": "p5.48xlarge", "capacity_type": "on-demand", "region": "us-east-1",
    "usd_per_hour": "31.5", "first_day": "2026-11-01", "reason": "Agreement of 2026.",
}  # fmt: skip
DECIDE_PRICES = "api:price_change_decide"
POLICY = {
    "data_class": "INTERNAL", "justification": "As the committee decided.",
    "rules": Rules(approvals=3).as_json(),
}  # fmt: skip
GUARDRAILS = {
    "rules": SHIPPED.as_json(), "justification": "As the board for model risk decided.",
}  # fmt: skip
PIPELINE = {
    "name": "extract-again", "team": "ml-platform",
    "justification": "As the platform board decided.",
    "rule": pipelines.rule(pushers=[Pusher("octo-dev", "77", "developer")]).as_json(),
}  # fmt: skip
DECIDE_BUDGET, DECIDE_BOOST = "api:budget_change_decide", "api:boost_decide"
TERMS = {"amount": "500", "thresholds": [80, 100], "reason": "Usual."}
BUDGET = {
    "amount": 500, "mode": "HARD", "thresholds": "80, 100", "zone": "UTC", "reason": "Usual.",
}  # fmt: skip
CAPACITY = {
    "pool": "gpu-free", "base": 1, "gpus": 8, "families": ["g6"], "capacity_types": ["spot"],
    "consolidation_policy": "WhenEmpty", "consolidate_after": "5m", "budgets": [{"nodes": "10%"}],
    "justification": "Spot is enough for this.",
}  # fmt: skip
# braces twice: what a door sends is filled with the world's ids
DOCUMENT = suite_samples.document(slug="new-suite").decode().replace("{", "{{").replace("}", "}}")
WHY = "Our own packets say more."
SUITE = {
    "document": DOCUMENT, "justification": WHY, "declared_free_of_member_data": True,
}  # fmt: skip
RETENTION = {
    "data_class": "INTERNAL", "rules": {"mode": "REQUIRED", "kept_days": 60, "models": {}},
    "justification": WHY,
}  # fmt: skip
RETENTION_FORM = {"mode": "REQUIRED", "kept_days": 60, "models": "", "justification": WHY}
HOLD = {"scope": "MEMBER", "name": "M-1", "matter": "2026-19"}
ERASURE = {"kind": "MEMBER", "name": "M-1", "justification": WHY}
SUITE_FORM = {"document": DOCUMENT, "justification": WHY, "declared": "on"}
DECIDE_SUITE = "api:evaluation_suite_decide"
DECIDE_CAPACITY = "api:capacity_request_decide"
CAPACITY_FORM = {
    "base": 1, "gpus": 8, "families": ["g6"], "spot_share": "spot",
    "consolidation_policy": "WhenEmpty",
    "consolidate_after_0": "5", "consolidate_after_1": "m",
    "justification": "Spot is enough for this.",
    "budgets-TOTAL_FORMS": 1,
    "budgets-INITIAL_FORMS": 0, "budgets-0-nodes": "10%", "budgets-0-zone": "UTC",
}  # fmt: skip
SEEN = {
    "manifest_digest": "{digest}", "eval_run": "{run}", "baseline": "{baseline}",
    "figures": "{figures}",
} | REASON  # fmt: skip
EMERGENCY = {"statement": "Every claim is answered wrongly since this morning."}
SEEN_NAMES = SEEN | {"baseline": "extract-v1"}


@dataclass(frozen=True)
class Door:
    """One address and method. args and data may name the world's ids in braces; sent: how data
    travels.
    """

    name: str
    statuses: str
    method: str = "GET"
    args: tuple[object, ...] = ()
    data: dict[str, object] = field(default_factory=dict)
    sent: str = FORM

    def __str__(self) -> str:
        return " ".join([self.method, self.name, *(str(arg).strip("{}") for arg in self.args)])

    @property
    def expected(self) -> list[int]:
        """Return the status for each of cast.EVERYBODY; one number stands for everybody with a
        role.
        """
        found = [int(word) for word in self.statuses.split()]
        ends = [403, 401] if self.name.startswith("api:") else [302, 302]
        if len(found) == 1:
            found *= len(cast.EVERYBODY) - 2
        return found if len(found) == len(cast.EVERYBODY) else [*found, *ends]


def post(name, statuses, *args, data=None):
    """Return the door of a form."""
    return Door(name, statuses, "POST", args, data or {})


def get(name, statuses, *args, data=None):
    """Return the door of a page."""
    return Door(name, statuses, "GET", args, data or {})


def send(name, statuses, *args, data=None, method="POST"):
    """Return a door of the API that takes JSON."""
    return Door(name, statuses, method, args, data or {}, JSON)


# lead other_lead developer owner other_owner reviewer reviewer2 finance platform auditor [roleless
# anonymous]
DOORS = [
    get("home", "200"),
    get("search", "200", data={"q": "extract"}),
    get("style", "200"),
    get("sample", "200"),
    get("needs", "200"),
    get("freshness", "200"),
    get("protected_resource", "200 200 200 200 200 200 200 200 200 200 200 200"),
    get("accounts:pipeline_list", "404 404 404 200 200 200 200 404 200 200"),
    get("accounts:pipeline_create", "404 404 404 200 200 403 403 404 200 403"),
    post("accounts:pipeline_create", "404 404 404 422 422 403 403 404 422 403"),
    get("accounts:pipeline_detail", "404 404 404 200 200 200 200 404 200 200", "{pipeline}"),
    get("accounts:pipeline_change", "404 404 404 200 200 403 403 404 200 403", "{pipeline}"),
    post("accounts:pipeline_change", "404 404 404 422 422 403 403 404 422 403", "{pipeline}"),
    post("accounts:pipeline_end", "404 404 404 302 403 403 403 404 302 403", "{pipeline}",
        data=REASON),
    get("accounts:pipeline_change_detail", "404 404 404 200 200 200 200 404 200 200",
        "{pipeline_change}"),
    post("accounts:pipeline_change_approve", "404 404 404 403 403 302 302 404 302 403",
        "{pipeline_change}", data=REASON),
    post("accounts:pipeline_change_approve", "404 404 404 403 403 302 302 404 403 403",
        "{own_pipeline_change}", data=REASON),
    post("accounts:pipeline_change_reject", "404 404 404 403 403 302 302 404 302 403",
        "{pipeline_change}", data=REASON),
    post("accounts:pipeline_change_withdraw", "404 404 404 302 403 403 403 404 403 403",
        "{pipeline_change}"),
    post("accounts:pipeline_change_withdraw", "404 404 404 403 403 403 403 404 302 403",
        "{own_pipeline_change}"),
    get("notices:notice_list", "200"),
    get("notices:notice_list", "200", data={"state": "new", "kind": "WAITS"}),
    get("notices:notice_list", "200", data={"format": "csv"}),
    get("notices:notice_open", "302 404 404 404 404 404 404 404 404 404", "{notice}"),
    post("notices:read_all", "302"),
    get("notices:choice_list", "200"),
    post("notices:choice_list", "302", data={kind: "NEVER" for kind in Kind.values}),
    post("notices:choice_list", "422", data={"WAITS": "LOUD"}),
    get("notices:webhook_list", "200"),
    post("notices:webhook_list", "422", data={"url": "https://elsewhere.test/", "kinds": "WAITS"}),
    get("notices:webhook_detail", "200 404 404 404 404 404 404 404 404 404", "{webhook}"),
    post("notices:webhook_change", "302 404 404 404 404 404 404 404 404 "
    "404", "{webhook}", data={"kinds": "GRANT"}),
    post("notices:webhook_renew", "200 404 404 404 404 404 404 404 404 404", "{webhook}"),
    post("notices:webhook_start", "302 404 404 404 404 404 404 404 404 404", "{webhook}"),
    post("notices:webhook_try", "302 404 404 404 404 404 404 404 404 404", "{webhook}"),
    post("notices:webhook_remove", "302 404 404 404 404 404 404 404 404 404", "{webhook}"),
    post("notices:call_again", "302 404 404 404 404 404 404 404 404 404", "{call}"),
    get("api:notices", "200"),
    send("api:notice_read", "200 404 404 404 404 404 404 404 404 404", "{notice}"),
    get("api:webhooks", "200"),
    send("api:webhooks", "409", data={"url": "https://elsewhere.test/", "kinds": ["WAITS"]}),
    get("api:webhook", "200 404 404 404 404 404 404 404 404 404", "{webhook}"),
    send("api:webhook", "200 404 404 404 404 404 404 404 404 404", "{webhook}",
         data={"kinds": ["GRANT"]}, method="PUT"),
    send("api:webhook", "200 404 404 404 404 404 404 404 404 404", "{webhook}", method="DELETE"),
    send("api:webhook_order", "200 404 404 404 404 404 404 404 404 404", "{webhook}", "secret"),
    send("api:webhook_order", "409 404 404 404 404 404 404 404 404 404", "{webhook}", "start"),
    send("api:webhook_order", "200 404 404 404 404 404 404 404 404 404", "{webhook}", "try"),
    get("healthz", "200 200 200 200 200 200 200 200 200 200 200 200"),
    get("alive", "200 200 200 200 200 200 200 200 200 200 200 200"),
    get("accounts:me", "200 200 200 200 200 200 200 200 200 200 200 302"),
    get("accounts:no_access", "302 302 302 302 302 302 302 302 302 302 403 302"),
    post("accounts:sign_out", "302 302 302 302 302 302 302 302 302 302 302 302"),
    get("accounts:signed_out", "200 200 200 200 200 200 200 200 200 200 200 200"),
    get("oidc_authentication_init", "503 503 503 503 503 503 503 503 503 503 503 503"),
    get("oidc_authentication_callback", "400 400 400 400 400 400 400 400 400 400 400 400"),
    post("usage_ingest", "401 401 401 401 401 401 401 401 401 401 401 401"),
    post("traces_ingest", "401 401 401 401 401 401 401 401 401 401 401 401"),
    get("scaling_demand", "401 401 401 401 401 401 401 401 401 401 401 "
    "401", "models", "prior-auth-extract-v1"),
    get("prompts:overview", "404 404 404 404 404 200 200 404 404 200"),
    get("prompts:record_list", "404 404 404 404 404 404 200 404 404 200"),
    get("prompts:record_list", "404 404 404 404 404 404 200 404 404 200", data={"format": "csv"}),
    get("prompts:record_list", "404 404 404 404 404 404 200 404 404 200",
        data={"team": "claims-review", "rule": "no-ssn", "whose": "TEAM", "outcome": "ANSWERED"}),
    get("prompts:record_detail", "404 404 404 404 404 404 200 404 404 200", "{prompt}"),
    post("prompts:record_read", "404 404 404 404 404 404 200 404 404 200", "{prompt}",
         data=REASON),
    post("prompts:record_read", "404 404 404 404 404 404 422 404 404 422", "{prompt}"),
    get("prompts:reader_list", "404 404 404 404 404 200 200 404 404 200"),
    post("prompts:reader_list", "404 404 404 404 404 403 403 404 404 302",
         data={"reader": "{reviewer}", "days": 7} | REASON),
    post("prompts:reader_end", "404 404 404 404 404 403 403 404 404 302", "{named_reader}",
         data=REASON),
    get("prompts:retention_list", "404 404 404 404 404 200 200 404 404 200"),
    get("prompts:retention_change_create", "404 404 404 404 404 403 403 404 404 200", "internal"),
    post("prompts:retention_change_create", "404 404 404 404 404 403 403 404 404 302", "internal",
         data=RETENTION_FORM),
    get("prompts:retention_change_detail", "404 404 404 404 404 200 200 404 404 200",
        "{retention_change}"),
    post("prompts:retention_change_approve", "404 404 404 404 404 302 302 404 404 403",
         "{retention_change}", data=REASON),
    post("prompts:retention_change_reject", "404 404 404 404 404 302 302 404 404 403",
         "{retention_change}", data=REASON),
    post("prompts:retention_change_withdraw", "404 404 404 404 404 403 403 404 404 302",
         "{retention_change}"),
    get("prompts:hold_list", "404 404 404 404 404 200 200 404 404 200"),
    get("prompts:hold_create", "404 404 404 404 404 403 403 404 404 200"),
    post("prompts:hold_create", "404 404 404 404 404 403 403 404 404 302", data=HOLD),
    get("prompts:hold_detail", "404 404 404 404 404 200 200 404 404 200", "{hold}"),
    post("prompts:hold_release_ask", "404 404 404 404 404 403 403 404 404 302", "{hold}",
         data={"justification": WHY}),
    get("prompts:hold_release_detail", "404 404 404 404 404 200 200 404 404 200",
        "{hold_release}"),
    post("prompts:hold_release_approve", "404 404 404 404 404 302 302 404 404 403",
         "{hold_release}", data=REASON),
    post("prompts:hold_release_reject", "404 404 404 404 404 302 302 404 404 403",
         "{hold_release}", data=REASON),
    post("prompts:hold_release_withdraw", "404 404 404 404 404 403 403 404 404 302",
         "{hold_release}"),
    get("prompts:erasure_list", "404 404 404 404 404 200 200 404 404 200"),
    get("prompts:erasure_create", "404 404 404 404 404 403 403 404 404 200"),
    post("prompts:erasure_create", "404 404 404 404 404 403 403 404 404 302", data=ERASURE),
    get("prompts:erasure_detail", "404 404 404 404 404 200 200 404 404 200", "{erasure}"),
    get("prompts:erasure_receipt", "404", "{erasure}"),
    post("prompts:erasure_approve", "404 404 404 404 404 302 302 404 404 403", "{erasure}",
         data=REASON),
    post("prompts:erasure_reject", "404 404 404 404 404 302 302 404 404 403", "{erasure}",
         data=REASON),
    post("prompts:erasure_withdraw", "404 404 404 404 404 403 403 404 404 302", "{erasure}"),
    get("api:prompts", "404 404 404 404 404 404 200 404 404 200"),
    get("api:prompt", "404 404 404 404 404 404 200 404 404 200", "{prompt}"),
    send("api:prompt_read", "404 404 404 404 404 404 200 404 404 200", "{prompt}", data=REASON),
    get("api:prompt_retention", "404 404 404 404 404 200 200 404 404 200"),
    get("api:prompt_retention_changes", "404 404 404 404 404 200 200 404 404 200"),
    send("api:prompt_retention_changes", "404 404 404 404 404 403 403 404 404 201",
         data=RETENTION),
    get("api:prompt_retention_change", "404 404 404 404 404 200 200 404 404 200",
        "{retention_change}"),
    send("api:prompt_retention_change_decide", "404 404 404 404 404 200 200 404 404 403",
         "{retention_change}", "approve", data=REASON),
    send("api:prompt_retention_change_decide", "404 404 404 404 404 200 200 404 404 403",
         "{retention_change}", "reject", data=REASON),
    send("api:prompt_retention_change_decide", "404 404 404 404 404 403 403 404 404 200",
         "{retention_change}", "withdraw"),
    get("api:legal_holds", "404 404 404 404 404 200 200 404 404 200"),
    send("api:legal_holds", "404 404 404 404 404 403 403 404 404 201", data=HOLD),
    get("api:legal_hold", "404 404 404 404 404 200 200 404 404 200", "{hold}"),
    send("api:legal_hold_release", "404 404 404 404 404 403 403 404 404 201", "{hold}",
         data={"justification": WHY}),
    get("api:hold_release", "404 404 404 404 404 200 200 404 404 200", "{hold_release}"),
    send("api:hold_release_decide", "404 404 404 404 404 200 200 404 404 403", "{hold_release}",
         "approve", data=REASON),
    send("api:hold_release_decide", "404 404 404 404 404 200 200 404 404 403", "{hold_release}",
         "reject", data=REASON),
    send("api:hold_release_decide", "404 404 404 404 404 403 403 404 404 200", "{hold_release}",
         "withdraw"),
    get("api:erasures", "404 404 404 404 404 200 200 404 404 200"),
    send("api:erasures", "404 404 404 404 404 403 403 404 404 201", data=ERASURE),
    get("api:erasure", "404 404 404 404 404 200 200 404 404 200", "{erasure}"),
    get("api:erasure_receipt", "404", "{erasure}"),
    send("api:erasure_decide", "404 404 404 404 404 200 200 404 404 403", "{erasure}", "approve",
         data=REASON),
    send("api:erasure_decide", "404 404 404 404 404 200 200 404 404 403", "{erasure}", "reject",
         data=REASON),
    send("api:erasure_decide", "404 404 404 404 404 403 403 404 404 200", "{erasure}",
         "withdraw"),
    get("oversight:event_list", "404 404 404 404 404 404 404 404 200 200"),
    get("oversight:event_list", "404 404 404 404 404 404 404 404 200 200", data={"format": "csv"}),
    get("oversight:event_detail", "404 404 404 404 404 404 404 404 200 200", "{event}"),
    get("oversight:event_proof", "404 404 404 404 404 404 404 404 409 409", "{event}"),
    get("oversight:access_report", "404 404 404 404 404 404 404 404 200 200"),
    get("oversight:safeguards", "404 404 404 404 404 404 404 404 200 200"),
    get("oversight:role_review_list", "404 404 404 404 404 404 404 404 200 200"),
    get("oversight:role_review", "404 404 404 404 404 404 404 404 200 200", "{role_review}"),
    post("oversight:role_review_approve", "404 404 404 404 404 404 404 404 302 302",
         "{role_review}", data=REASON),
    post("oversight:role_review_reject", "404 404 404 404 404 404 404 404 302 302",
         "{role_review}", data=REASON),
    post("oversight:role_review_again", "404 404 404 404 404 404 404 404 302 302",
         "{role_review}"),
    get("oversight:evidence_list", "404 404 404 404 404 404 404 404 200 200"),
    post("oversight:evidence_ask", "404 404 404 404 404 404 404 404 302 302",
         data={"month": "2026-10"}),
    get("oversight:evidence_detail", "404 404 404 404 404 404 404 404 200 200", "{pack}"),
    get("oversight:evidence_file", "404 404 404 404 404 404 404 404 409 409", "{pack}"),
    post("oversight:evidence_retry", "404 404 404 404 404 404 404 404 302 302", "{pack}"),
    get("api:evidence_packs", "404 404 404 404 404 404 404 404 200 200"),
    send("api:evidence_packs", "404 404 404 404 404 404 404 404 201 201",
         data={"month": "2026-10"}),
    get("api:evidence_pack", "404 404 404 404 404 404 404 404 200 200", "{pack}"),
    get("api:evidence_pack_file", "404 404 404 404 404 404 404 404 409 409", "{pack}"),
    send("api:evidence_pack_retry", "404 404 404 404 404 404 404 404 409 409", "{pack}"),
    get("api:role_reviews", "404 404 404 404 404 404 404 404 200 200"),
    get("api:role_review", "404 404 404 404 404 404 404 404 200 200", "{role_review}"),
    send("api:role_review_decide", "404 404 404 404 404 404 404 404 200 200",
         "{role_review}", "keep", data=REASON),
    send("api:role_review_decide", "404 404 404 404 404 404 404 404 200 200",
         "{role_review}", "take", data=REASON),
    send("api:role_review_decide", "404 404 404 404 404 404 404 404 409 409",
         "{role_review}", "again"),
    get("oversight:record", "404 404 404 404 404 404 404 404 200 200"),
    post("oversight:record_verify", "404 404 404 404 404 404 404 404 302 302"),
    get("oversight:record_part", "404 404 404 404 404 404 404 404 400 400"),
    get("oversight:record_key", "404 404 404 404 404 404 404 404 200 200"),
    get("oversight:record_verifier", "404 404 404 404 404 404 404 404 200 200"),
    get("oversight:checkpoint", "404 404 404 404 404 404 404 404 404 404", 7),
    get("oversight:checkpoint_proof", "404 404 404 404 404 404 404 404 404 404", 7),
    get("fleet:node_list", "404 404 404 404 404 404 404 200 200 200"),
    get("fleet:claim_list", "404 404 404 404 404 404 404 200 200 200"),
    get("fleet:claim_detail", "404 404 404 404 404 404 404 200 200 200", "{claim}"),
    get("fleet:interval_export", "404 404 404 404 404 404 404 200 200 200"),
    get("fleet:price_list", "404 404 404 404 404 404 404 200 200 200"),
    post("fleet:price_list", "404 404 404 404 404 404 404 302 403 403", data=CONTRACT),
    post("fleet:price_end", "404 404 404 404 404 404 404 422 403 403", data=CONTRACT),
    get("fleet:replica_list", "404 404 404 404 404 404 404 200 200 200"),
    get("capacity:pool_list", "404 404 404 404 404 200 200 200 200 200"),
    get("capacity:pool_list", "404 404 404 404 404 200 200 200 200 200", data={"format": "csv"}),
    get("capacity:request_create", "404 404 404 404 404 403 403 403 200 403", "gpu-free"),
    post("capacity:request_create", "404 404 404 404 404 403 403 403 302 "
    "403", "gpu-free", data=CAPACITY_FORM),
    get("capacity:request_detail", "404 404 404 404 404 200 200 200 200 200", "{capacity}"),
    post("capacity:request_approve", "404 404 404 404 404 302 302 403 302 "
    "403", "{capacity}", data=REASON),
    post("capacity:request_approve", "404 404 404 404 404 302 302 403 403 "
    "403", "{own_capacity}", data=REASON),
    post("capacity:request_reject", "404 404 404 404 404 302 302 403 302 "
    "403", "{capacity}", data=REASON),
    post("capacity:request_reject", "404 404 404 404 404 302 302 403 403 "
    "403", "{own_capacity}", data=REASON),
    post("capacity:request_withdraw", "404 404 404 404 404 403 403 403 302 403", "{own_capacity}"),
    post("capacity:request_retry", "404 404 404 404 404 403 403 403 302 403", "{failed_capacity}"),
    get("fleet:replica_detail", "404 404 404 404 404 404 404 200 200 200", "{replica}"),
    get("access:request_list", "200"),
    get("access:request_create", "200", "extract"),
    get("access:request_estimate", "200", "extract", data=WORK),
    get("access:request_today", "200 404 200 200 404 404 404 200 200 200", "{pending}"),
    post("access:grant_keep", "403 404 403 302 404 404 404 403 403 403", "{grant}", data=REASON),
    post("access:grant_renew", "302 404 403 403 404 404 404 403 403 403", "{grant}"),
    post("access:request_create", "422 302 403 302 302 403 403 403 403 403", "extract",
         data=WISH | WORK),
    get("access:request_detail", "200 404 200 200 404 404 404 200 200 200", "{pending}"),
    post("access:request_approve", "403 404 403 302 404 404 404 403 403 "
    "403", "{pending}", data=REASON),
    post("access:request_reject", "403 404 403 302 404 404 404 403 403 "
    "403", "{pending}", data=REASON),
    post("access:request_withdraw", "302 404 403 403 404 404 404 403 403 403", "{pending}"),
    get("access:grant_detail", "200 404 200 200 404 404 404 200 200 200", "{grant}"),
    post("access:grant_revoke", "403 404 403 302 404 404 404 403 302 403", "{grant}", data=REASON),
    get("catalog:model_list", "200"),
    get("catalog:model_create", "200"),
    post("catalog:model_create", "403 403 403 302 302 403 403 403 403 403", data=MODEL),
    get("catalog:model_detail", "200", "extract"),
    get("catalog:intake_list", "200"),
    get("catalog:intake_list", "200", data={"format": "csv"}),
    get("catalog:intake_create", "200 200 200 200 200 403 403 403 200 403"),
    post("catalog:intake_create", "302 302 302 302 302 403 403 403 302 403", data=INTAKE_FORM),
    get("catalog:intake_detail", "200", "{intake}"),
    post("catalog:intake_approve", "403 403 403 302 403 403 403 403 302 403", "{intake}",
         data=REASON),
    post("catalog:intake_approve", "403 403 403 403 403 403 403 403 302 403", "{own_intake}",
         data=REASON),
    post("catalog:intake_reject", "403 403 403 302 403 403 403 403 302 403", "{intake}",
         data=REASON),
    post("catalog:intake_withdraw", "302 403 403 403 403 403 403 403 403 403", "{intake}"),
    get("api:version_facts", "404", "extract", 1),
    get("api:version_sizing", "404", "extract", 1),
    get("api:new_models", "200"),
    send("api:new_models", "201 201 201 201 201 403 403 403 201 403", data=INTAKE),
    get("api:new_model", "200", "{intake}"),
    send("api:new_model_decide", "403 403 403 200 403 403 403 403 200 403", "{intake}", "approve",
         data=REASON),
    send("api:new_model_decide", "403 403 403 200 403 403 403 403 200 403", "{intake}", "reject",
         data=REASON),
    send("api:new_model_decide", "200 403 403 403 403 403 403 403 403 403", "{intake}",
         "withdraw"),
    get("catalog:version_list", "200", "extract"),
    get("catalog:model_retirement", "200", "extract"),
    post("catalog:model_retirement", "403 403 403 302 403 403 403 403 403 403", "extract",
         data=GOES),
    post("catalog:retirement_order", "403 403 403 302 403 403 403 403 403 403", "extract-old",
         "withdraw", data=REASON),
    post("catalog:retirement_order", "403 403 403 302 403 403 403 403 403 403", "extract-old",
         "override", data=REASON),
    get("catalog:version_create", "403 403 403 200 403 403 403 403 403 403", "extract"),
    send("catalog:version_check", "403 403 403 200 403 403 403 403 403 403 302 "
    "302", "extract", data={"files": FILES}),
    get("catalog:version_detail", "200", "extract", 1),
    get("catalog:version_sizing", "200", "extract", 1),
    post("catalog:version_sizing_ask", "302", "extract", 1),
    post("catalog:version_retry", "403 403 403 302 403 403 403 403 403 403", "extract", 3),
    get("registry:overview", "404 404 404 200 200 200 200 404 200 200"),
    get("registry:overview", "404 404 404 200 200 200 200 404 200 200", data={"format": "csv"}),
    get("registry:trusted_keys", "404 404 404 200 200 200 200 404 200 200"),
    get("registry:signer_list", "404 404 404 200 200 200 200 404 200 200"),
    get("registry:signer_detail", "404 404 404 200 200 200 200 404 200 200", "{signer}"),
    post("registry:signer_revoke", "404 404 404 403 403 403 403 404 302 302",
         "{signer}", data=REASON),
    post("registry:revocation_approve", "404 404 404 403 403 302 302 404 403 "
    "403", "{revocation}", data=REASON),
    post("registry:revocation_reject", "404 404 404 403 403 302 302 404 403 "
    "403", "{revocation}", data=REASON),
    post("registry:revocation_withdraw", "404 404 404 403 403 403 403 404 302 403", "{revocation}"),
    post("registry:version_verify", "403 403 403 302 403 403 403 403 302 302", "extract", 1),
    get("evals:run_list", "200"),
    get("evals:run_compare", "200"),
    get("evals:run_create", "200", "extract", 1),
    post("evals:run_create", "403 403 403 302 403 302 302 403 403 403", "extract", 1),
    get("evals:run_detail", "200", "{run}"),
    get("evals:run_report", "200", "{run}"),
    post("evals:run_cancel", "403 403 403 302 403 302 302 403 403 403", "{open_run}"),
    get("evals:packet_list", "200", "{run}"),
    get("evals:packet_detail", "200", "{run}", "packet-01"),
    get("evals:suite_list", "200"),
    get("evals:suite_create", "200"),
    post("evals:suite_create", "403 403 403 302 403 403 403 403 403 403", data=SUITE_FORM),
    get("evals:suite_detail", "200", "{suite}"),
    get("evals:suite_detail", "200", "{suite}", data={"format": "csv"}),
    get("evals:suite_packet", "200", "{suite}", "p-1"),
    post("evals:suite_approve", "403 403 403 403 403 302 302 403 403 403", "{own_suite}",
         data=REASON),
    post("evals:suite_reject", "403 403 403 403 403 302 302 403 403 403", "{suite}", data=REASON),
    post("evals:suite_withdraw", "403 403 403 302 403 403 403 403 403 403", "{own_suite}"),
    get("promotions:promotion_list", "200"),
    get("promotions:promotion_list", "200", data={"format": "csv"}),
    get("promotions:promotion_create", "200", "extract", 2),
    post("promotions:promotion_create", "403 403 403 422 403 403 403 403 403 403", "extract", 2,
         data={"justification": "Better codes."}),
    get("promotions:promotion_detail", "200", "{promotion}"),
    get("promotions:promotion_diff", "200", "{promotion}"),
    get("promotions:promotion_dossier", "200", "{live_promotion}"),
    post("promotions:promotion_approve", "403 403 403 403 403 302 302 403 403 "
    "403", "{promotion}", data=SEEN),
    post("promotions:promotion_reject", "403 403 403 403 403 302 302 403 403 "
    "403", "{promotion}", data=SEEN),
    post("promotions:promotion_withdraw", "403 403 403 302 403 403 403 403 403 403", "{promotion}"),
    get("promotions:policy_list", "200"),
    get("promotions:policy_detail", "200", "phi"),
    get("promotions:policy_change_create", "403 403 403 403 403 403 403 403 200 403", "internal"),
    post("promotions:policy_change_create", "403 403 403 403 403 403 403 403 422 403", "internal"),
    get("promotions:policy_change_detail", "404 404 404 404 404 200 200 404 200 200",
        "{policy_change}"),
    post("promotions:policy_change_approve", "404 404 404 404 404 302 302 404 403 "
    "403", "{policy_change}", data=REASON),
    post("promotions:policy_change_approve", "404 404 404 404 404 302 302 404 403 "
    "403", "{own_policy_change}", data=REASON),
    post("promotions:policy_change_reject", "404 404 404 404 404 302 302 404 403 "
    "403", "{policy_change}", data=REASON),
    post("promotions:policy_change_withdraw", "404 404 404 404 404 403 403 404 403 "
    "403", "{policy_change}"),
    post("promotions:policy_change_withdraw", "404 404 404 404 404 403 403 404 302 "
    "403", "{own_policy_change}"),
    get("gateway:guardrails", "200"),
    get("gateway:guardrail_history", "200"),
    get("gateway:guardrail_change_create", "403 403 403 403 403 403 403 403 200 403"),
    post("gateway:guardrail_change_create", "403 403 403 403 403 403 403 403 422 403"),
    get("gateway:guardrail_change_detail", "404 404 404 404 404 200 200 404 200 200",
        "{guard_change}"),
    post("gateway:guardrail_change_approve", "404 404 404 404 404 302 302 404 403 403",
         "{guard_change}", data=REASON),
    post("gateway:guardrail_change_reject", "404 404 404 404 404 302 302 404 403 403",
         "{guard_change}", data=REASON),
    post("gateway:guardrail_change_withdraw", "404 404 404 404 404 403 403 404 302 403",
         "{guard_change}"),
    get("gateway:guard_hits", "200"),
    get("gateway:guard_hits", "200", data={"format": "csv"}),
    get("gateway:guard_hit_detail", "200 404 200 404 404 200 200 404 200 200", "{guard_hit}"),
    post("gateway:guard_hit_mark", "403 404 403 404 404 302 302 404 302 302", "{guard_hit}",
         data={"mark": "FALSE"}),
    get("promotions:emergency_create", "403 403 403 403 403 403 403 403 200 403", "{promotion}"),
    post("promotions:emergency_create", "403 403 403 403 403 403 403 403 302 403", "{promotion}",
         data=EMERGENCY),
    get("promotions:emergency_list", "200"),
    get("promotions:emergency_list", "200", data={"format": "csv"}),
    get("promotions:emergency_banner", "200"),
    get("promotions:emergency_detail", "200", "{emergency}"),
    post("promotions:emergency_approve", "403 403 403 403 403 302 302 403 403 403", "{emergency}",
         data=REASON),
    post("promotions:emergency_reject", "403 403 403 403 403 302 302 403 403 403", "{emergency}",
         data=REASON),
    send("api:emergency_declare", "403 403 403 403 403 403 403 403 201 403", "{promotion}",
         data=EMERGENCY),
    get("api:emergency", "200", "{emergency}"),
    send("api:emergency_review", "403 403 403 403 403 200 200 403 403 403", "{emergency}",
         "uphold", data=REASON),
    send("api:emergency_review", "403 403 403 403 403 200 200 403 403 403", "{emergency}",
         "object", data=REASON),
    get("promotions:rollout_detail", "200", "{rollout}"),
    get("incidents:episode_list", "200"),
    get("incidents:episode_list", "200", data={"format": "csv"}),
    get("incidents:episode_detail", "200", "{episode}"),
    get("slo:objective_list", "200"),
    get("slo:objective_list", "200", data={"format": "csv"}),
    get("slo:objective_detail", "200", "{objective}"),
    post("slo:objective_detail", "403 403 403 302 403 403 403 403 302 403", "{objective}",
         data=PROMISE),
    post("slo:objective_end", "403 403 403 302 403 403 403 403 302 403", "{objective}",
         data=REASON),
    get("slo:objective_create", "200", "extract"),
    post("slo:objective_create", "403 403 403 302 403 403 403 403 302 403", "extract",
         data=PROMISE | {"kind": "TTFT", "window": "ROLLING", "threshold_ms": 800}),
    get("api:objectives", "200"),
    get("api:objective", "200", "{objective}"),
    send("api:model_objectives", "403 403 403 200 403 403 403 403 200 403", "extract",
         data=PROMISE | {"kind": "TTFT", "window": "ROLLING", "threshold_ms": 800}, method="PUT"),
    send("api:objective_end", "403 403 403 200 403 403 403 403 200 403", "{objective}",
         data=REASON),
    get("api:promotion_changes", "200", "{promotion}"),
    get("api:incidents", "200"),
    get("api:incident", "200", "{episode}"),
    post("incidents:episode_lift", "403 403 403 403 403 302 302 403 302 403", "{burning}",
         data=REASON),
    send("api:incident_lift", "403 403 403 403 403 200 200 403 200 403", "{burning}", data=REASON),
    get("promotions:rollout_charts", "200", "{rollout}"),
    post("promotions:rollout_retry", "403 403 403 302 403 302 302 403 302 403", "{failed_rollout}"),
    post("promotions:rollout_pause", "403 403 403 302 403 302 302 403 302 "
    "403", "{failed_rollout}", data=REASON),
    post("promotions:rollout_resume", "403 403 403 302 403 302 302 403 302 "
    "403", "{failed_rollout}"),
    post("promotions:rollout_go_on", "403 403 403 302 403 302 302 403 302 "
    "403", "{failed_rollout}", data=REASON),
    post("promotions:rollout_roll_back", "403 403 403 302 403 302 302 403 302 "
    "403", "{rollout}", data=REASON),
    post("promotions:rollout_abort", "403 403 403 302 403 302 302 403 302 "
    "403", "{failed_rollout}", data=REASON),
    get("gateway:playground", "200", "extract"),
    post("gateway:playground_stream", "401 401 401 401 401 401 401 401 401 401", "extract",
         data={"prompt": "hello", "max_tokens": 5, "temperature": 0}),
    get("gateway:how_to_call", "200", "extract"),
    get("gateway:policy_detail", "200", "extract"),
    get("gateway:routes", "200"),
    get("gateway:routes", "200", data={"format": "csv"}),
    get("gateway:limits", "200"),
    get("gateway:limits", "200", data={"format": "csv"}),
    get("gateway:drift", "404 404 404 404 404 404 404 200 200 200"),
    get("gateway:drift", "404 404 404 404 404 404 404 200 200 200", data={"past": "1"}),
    get("gateway:unanswered", "200"),
    get("gateway:unanswered", "200", data={"format": "csv", "span": "30d"}),
    get("gateway:unanswered", "200 404 200 404 404 404 404 200 200 200",
        data={"team": "claims-review"}),
    get("gateway:why", "200"),
    get("gateway:why", "200", data={"model": "extract"}),
    get("gateway:why", "200 404 200 404 404 404 404 200 200 200",
        data={"caller": "claims-review", "model": "extract"}),
    get("gateway:why", "200 404 200 404 404 404 404 200 200 200",
        data={"request_id": "{refused_call}"}),
    get("gateway:trace", "200 404 200 404 404 404 404 200 200 200", "{refused_call}"),
    get("gateway:why", "422", data={"model": "extract", "at": "tomorrow"}),
    get("api:gateway_routes", "200"),
    get("api:gateway_unanswered", "200"),
    get("api:gateway_unanswered", "200 404 200 404 404 404 404 200 200 200",
        data={"team": "claims-review"}),
    get("api:gateway_why", "200", data={"model": "extract"}),
    get("api:gateway_why", "200 404 200 404 404 404 404 200 200 200",
        data={"request_id": "{refused_call}"}),
    get("api:gateway_why", "400"),
    get("grant_list", "200"),
    get("recertification_list", "200"),
    get("metering:usage_list", "200"),
    get("metering:usage_list", "200", data={"format": "csv"}),
    get("metering:model_usage", "200", "extract"),
    get("metering:usage_import", "403 403 403 403 403 403 403 200 200 200"),
    post("metering:usage_import", "403 403 403 403 403 403 403 422 422 403"),
    get("metering:quarantine_list", "404 404 404 404 404 404 404 200 200 200"),
    get("metering:quarantine_detail", "404 404 404 404 404 404 404 200 200 200", "{doubted}"),
    post("metering:quarantine_replay", "404 404 404 404 404 404 404 302 302 403"),
    post("metering:quarantine_retry", "404 404 404 404 404 404 404 302 302 403", "{doubted}"),
    post("metering:quarantine_leave_out", "404 404 404 404 404 404 404 302 302 "
    "403", "{doubted}", data=REASON),
    get("chargeback:month", "200"),
    get("chargeback:month", "200", data={"format": "csv"}),
    get("chargeback:month", "200", data={"by": "line", "format": "csv"}),
    get("chargeback:trends", "200"),
    get("chargeback:trends", "200", data={"by": "month"}),
    get("chargeback:month_machines", "200"),
    get("chargeback:month_machines", "200", data={"cards-format": "csv"}),
    get("chargeback:month_close_list", "404 404 404 404 404 404 404 200 200 200"),
    get("chargeback:month_close_create", "404 404 404 404 404 404 404 200 200 200", "2026-01"),
    post("chargeback:month_close_create", "404 404 404 404 404 404 404 422 403 403", "2026-01",
         data={"justification": "All of it was checked."}),
    get("chargeback:month_close_detail", "404 404 404 404 404 404 404 200 200 200", "{close}"),
    post("chargeback:month_close_approve", "404 404 404 404 404 404 404 302 403 403", "{close}",
         data=REASON),
    post("chargeback:month_close_reject", "404 404 404 404 404 404 404 302 403 403", "{close}",
         data=REASON),
    post("chargeback:month_close_withdraw", "404 404 404 404 404 404 404 403 403 403", "{close}"),
    get("chargeback:statement_detail", "404 404 404 404 404 404 404 200 200 200", "2025-12-001"),
    get("chargeback:statement_document", "404 404 404 404 404 404 404 200 200 200", "2025-12-001"),
    get("chargeback:statement_pdf", "404 404 404 404 404 404 404 409 409 409", "2025-12-001"),
    post("chargeback:statement_document_retry", "404 404 404 404 404 404 404 302 302 403",
         "2025-12-001"),
    get("chargeback:focus_export", "404 404 404 404 404 404 404 200 200 200", "2026-01"),
    get("chargeback:reconciliation", "404 404 404 404 404 404 404 200 200 200"),
    get("chargeback:bill_reconciliation", "404 404 404 404 404 404 404 200 200 200"),
    get("chargeback:spend_reconciliation", "404 404 404 404 404 404 404 200 200 200"),
    get("chargeback:rate_list", "200"),
    post("chargeback:estimate_rule_create", "403 403 403 403 403 403 403 302 403 403",
         data={**REASON, "prices": "yes"}),
    get("chargeback:price_change_create", "200"),
    post("chargeback:price_change_create", "403 403 403 403 403 403 403 302 403 403", data=PRICE),
    get("chargeback:price_change_detail", "404 404 404 404 404 404 404 200 200 "
    "200", "{price_change}"),
    post("chargeback:price_change_approve", "404 404 404 404 404 404 404 302 403 "
    "403", "{price_change}", data=REASON),
    post("chargeback:price_change_approve", "404 404 404 404 404 404 404 403 403 "
    "403", "{own_price_change}", data=REASON),
    post("chargeback:price_change_reject", "404 404 404 404 404 404 404 302 403 "
    "403", "{price_change}", data=REASON),
    post("chargeback:price_change_reject", "404 404 404 404 404 404 404 403 403 "
    "403", "{own_price_change}", data=REASON),
    post("chargeback:price_change_withdraw", "404 404 404 404 404 404 404 302 403 "
    "403", "{own_price_change}"),
    post("chargeback:price_change_withdraw", "404 404 404 404 404 404 404 403 403 "
    "403", "{price_change}"),
    get("chargeback:grant_use", "200 404 200 200 404 404 404 200 200 200", "{grant}"),
    get("chargeback:budget_list", "200"),
    get("chargeback:budget_list", "200", data={"format": "csv"}),
    get("chargeback:budget_create", "403 403 403 200 200 403 403 200 200 403"),
    post("chargeback:budget_create", "403 403 403 302 422 403 403 302 422 403",
         data=BUDGET | {"team": "prior-auth", "model": "extract", "unit": "USD"}),
    get("chargeback:budget_detail", "200 404 200 200 404 404 404 200 200 200", "{budget}"),
    get("chargeback:budget_detail", "404 404 404 404 404 404 404 200 200 200", "{payer_budget}"),
    get("chargeback:budget_change", "200 404 403 200 404 404 404 200 403 403", "{budget}"),
    get("chargeback:budget_change", "404 404 404 404 404 404 404 200 200 403", "{payer_budget}"),
    post("chargeback:budget_change", "404 404 404 404 404 404 404 302 302 "
    "403", "{payer_budget}", data=BUDGET),
    post("chargeback:budget_end", "403 404 403 302 404 404 404 302 403 "
    "403", "{budget}", data=REASON),
    get("chargeback:boost_create", "200 404 403 200 404 404 404 200 403 403", "{budget}"),
    get("chargeback:boost_create", "404 404 404 404 404 404 404 200 200 403", "{payer_budget}"),
    post("chargeback:boost_create", "404 404 404 404 404 404 404 302 302 "
    "403", "{payer_budget}", data=REASON | {"amount": 5, "last_day": SOON}),
    get("chargeback:budget_change_detail", "200 404 200 200 404 404 404 200 200 "
    "200", "{budget_change}"),
    get("chargeback:budget_change_detail", "404 404 404 404 404 404 404 200 200 "
    "200", "{payer_change}"),
    post("chargeback:budget_change_approve", "403 404 403 302 404 404 404 302 403 "
    "403", "{budget_change}", data=REASON),
    post("chargeback:budget_change_approve", "404 404 404 404 404 404 404 302 403 "
    "403", "{payer_change}", data=REASON),
    post("chargeback:budget_change_reject", "403 404 403 302 404 404 404 302 403 "
    "403", "{budget_change}", data=REASON),
    post("chargeback:budget_change_withdraw", "302 404 403 403 404 404 404 403 403 "
    "403", "{budget_change}"),
    get("chargeback:boost_detail", "200 404 200 200 404 404 404 200 200 200", "{boost}"),
    post("chargeback:boost_approve", "403 404 403 302 404 404 404 302 403 "
    "403", "{boost}", data=REASON),
    post("chargeback:boost_reject", "403 404 403 302 404 404 404 302 403 "
    "403", "{boost}", data=REASON),
    post("chargeback:boost_withdraw", "302 404 403 403 404 404 404 403 403 403", "{boost}"),
    post("chargeback:boost_end", "403 404 403 302 404 404 404 302 403 "
    "403", "{boost}", data=REASON),
    get("api:budgets", "200"),
    get("api:budget", "200 404 200 200 404 404 404 200 200 200", "{budget}"),
    get("api:budget", "404 404 404 404 404 404 404 200 200 200", "{payer_budget}"),
    send("api:budgets", "403 403 403 201 403 403 403 201 403 403",
         data=TERMS | {"team": "prior-auth", "model": "extract", "unit": "USD"}),
    send("api:budget_changes", "409 404 403 200 404 404 404 200 403 403", "{budget}",
         data=TERMS | {"amount": "50"}),
    send("api:budget_changes", "404 404 404 404 404 404 404 200 200 403", "{payer_budget}",
         data=TERMS),
    send("api:budget_end", "403 404 403 409 404 404 404 409 403 403", "{budget}", data=REASON),
    send("api:budget_boosts", "404 404 404 404 404 404 404 201 201 403", "{payer_budget}",
         data=REASON | {"amount": "5", "last_day": SOON}),
    get("api:budget_change", "200 404 200 200 404 404 404 200 200 200", "{budget_change}"),
    send(DECIDE_BUDGET, "403 404 403 200 404 404 404 200 403 403", "{budget_change}", "approve",
         data=REASON),
    send(DECIDE_BUDGET, "404 404 404 404 404 404 404 200 403 403", "{payer_change}", "approve",
         data=REASON),
    send(DECIDE_BUDGET, "403 404 403 200 404 404 404 200 403 403", "{budget_change}", "reject",
         data=REASON),
    send(DECIDE_BUDGET, "200 404 403 403 404 404 404 403 403 403", "{budget_change}", "withdraw"),
    get("api:boost", "200 404 200 200 404 404 404 200 200 200", "{boost}"),
    send(DECIDE_BOOST, "403 404 403 200 404 404 404 200 403 403", "{boost}", "approve",
         data=REASON),
    send(DECIDE_BOOST, "403 404 403 200 404 404 404 200 403 403", "{boost}", "reject",
         data=REASON),
    send(DECIDE_BOOST, "200 404 403 403 404 404 404 403 403 403", "{boost}", "withdraw"),
    send(DECIDE_BOOST, "403 404 403 409 404 404 404 409 403 403", "{boost}", "end", data=REASON),
    get("api_reference", "200"),
    get("api:schema", "200"),
    get("api:me", "200"),
    get("api:access_requests", "200"),
    send("api:access_requests", "409 201 403 201 201 403 403 403 403 "
    "403", data=WISH | {"model": "extract", "expected_work": WORK}),
    get("api:access_request", "200 404 200 200 404 404 404 200 200 200", "{pending}"),
    send("api:access_request_decide", "403 404 403 200 404 404 404 403 403 "
    "403", "{pending}", "approve", data=REASON),
    send("api:access_request_decide", "403 404 403 200 404 404 404 403 403 "
    "403", "{pending}", "reject", data=REASON),
    send("api:access_request_decide", "404", "{pending}", "withdraw", data=REASON),
    get("api:grants", "200"),
    send("api:grant_renew", "201 404 403 403 404 404 404 403 403 403", "{grant}"),
    send("api:grant_keep", "403 404 403 409 404 404 404 403 403 403", "{grant}", data=REASON),
    send("api:grant_revoke", "403 404 403 200 404 404 404 403 200 403", "{grant}", data=REASON),
    get("api:rates", "200"),
    get("api:price_changes", "404 404 404 404 404 404 404 200 200 200"),
    send("api:price_changes", "404 404 404 404 404 404 404 201 403 403", data=PRICES),
    get("api:price_change", "404 404 404 404 404 404 404 200 200 200", "{price_change}"),
    send(DECIDE_PRICES, "404 404 404 404 404 404 404 200 403 "
    "403", "{price_change}", "approve", data=REASON),
    send(DECIDE_PRICES, "404 404 404 404 404 404 404 403 403 "
    "403", "{own_price_change}", "approve", data=REASON),
    send(DECIDE_PRICES, "404 404 404 404 404 404 404 403 403 "
    "403", "{own_price_change}", "reject", data=REASON),
    send(DECIDE_PRICES, "404 404 404 404 404 404 404 200 403 "
    "403", "{own_price_change}", "withdraw"),
    send(DECIDE_PRICES, "404 404 404 404 404 404 404 403 403 "
    "403", "{price_change}", "withdraw"),
    get("api:models", "200"),
    send("api:models", "403 403 403 201 201 403 403 403 403 403", data=MODEL),
    get("api:model", "200", "extract"),
    get("api:retirement", "200", "extract-old"),
    send("api:retirement", "403 403 403 200 403 403 403 403 403 403", "extract", data=GOES,
         method="PUT"),
    send("api:retirement_order", "403 403 403 200 403 403 403 403 403 403", "extract-old",
         "withdraw", data=REASON),
    send("api:retirement_order", "403 403 403 200 403 403 403 403 403 403", "extract-old",
         "override", data=REASON),
    get("api:registry", "404 404 404 200 200 200 200 404 200 200"),
    get("api:signers", "200"),
    get("api:signer", "404 404 404 200 200 200 200 404 200 200", "{signer}"),
    send("api:signer_revoke", "404 404 404 403 403 403 403 404 201 201", "{signer}", data=REASON),
    send("api:signer_revocation_decide", "404 404 404 403 403 200 200 404 403 "
    "403", "{revocation}", "approve", data=REASON),
    send("api:signer_revocation_decide", "404 404 404 403 403 200 200 404 403 "
    "403", "{revocation}", "reject", data=REASON),
    send("api:signer_revocation_decide", "404 404 404 403 403 403 403 404 200 "
    "403", "{revocation}", "withdraw"),
    get("api:verifications", "200", "extract", 1),
    send("api:verifications", "403 403 403 202 403 403 403 403 202 202", "extract", 1),
    get("api:versions", "200", "extract"),
    send("api:versions", "403 403 403 201 403 403 403 403 403 "
    "403", "extract", data={"files": FILES}),
    get("api:version", "200", "extract", 1),
    send("api:version_part", "403 403 403 409 403 403 403 403 403 "
    "403", "extract", 3, "config.json", method="PUT"),
    send("api:version_parts_sign", "403 403 403 409 403 403 403 403 403 "
    "403", "extract", 3, "config.json", data={"parts": [{"part": 9, "sha256": "0" * 64}]}),
    send("api:version_parts_received", "403 403 403 409 403 403 403 403 403 "
    "403", "extract", 3, "config.json"),
    send("api:version_finish", "403 403 403 409 403 403 403 403 403 403", "extract", 3),
    get("api:chargeback_month", "200", "2026-11"),
    get("api:fleet_nodes", "404 404 404 404 404 404 404 200 200 200"),
    get("api:fleet_node_pools", "404 404 404 404 404 200 200 200 200 200"),
    get("api:capacity_requests", "404 404 404 404 404 200 200 200 200 200"),
    send("api:capacity_requests", "404 404 404 404 404 403 403 403 201 403", data=CAPACITY),
    get("api:capacity_request", "404 404 404 404 404 200 200 200 200 200", "{capacity}"),
    send(DECIDE_CAPACITY, "404 404 404 404 404 200 200 403 200 "
    "403", "{capacity}", "approve", data=REASON),
    send(DECIDE_CAPACITY, "404 404 404 404 404 200 200 403 403 "
    "403", "{own_capacity}", "approve", data=REASON),
    send(DECIDE_CAPACITY, "404 404 404 404 404 200 200 403 403 "
    "403", "{own_capacity}", "reject", data=REASON),
    send(DECIDE_CAPACITY, "404 404 404 404 404 403 403 403 200 403", "{own_capacity}", "withdraw"),
    send(DECIDE_CAPACITY, "404 404 404 404 404 403 403 403 200 403", "{failed_capacity}", "retry"),
    get("api:evaluation_suites", "200"),
    send("api:evaluation_suites", "403 403 403 201 403 403 403 403 403 403", data=SUITE),
    get("api:evaluation_suite", "200", "{suite}"),
    get("api:evaluation_suite_packets", "200", "{suite}"),
    send(DECIDE_SUITE, "403 403 403 403 403 200 200 403 403 403", "{own_suite}", "approve",
         data=REASON),
    send(DECIDE_SUITE, "403 403 403 403 403 200 200 403 403 403", "{suite}", "reject", data=REASON),
    send(DECIDE_SUITE, "403 403 403 200 403 403 403 403 403 403", "{own_suite}", "withdraw"),
    get("api:evaluation_runs", "200"),
    send("api:evaluation_runs", "403 403 403 201 403 201 201 403 403 "
    "403", data={"model": "extract", "version": 1}),
    get("api:evaluation_run", "200", "{run}"),
    send("api:evaluation_run_cancel", "403 403 403 200 403 200 200 403 403 403", "{open_run}"),
    get("api:promotions", "200"),
    send("api:promotions", "403 403 403 409 403 403 403 403 403 403",
         data={"model": "extract", "version": 2, "justification": "Better codes."}),
    get("api:promotion", "200", "{promotion}"),
    get("api:promotion_change", "200", "{promotion}"),
    get("api:promotion_dossier", "200", "{live_promotion}"),
    send("api:promotion_decide", "403 403 403 403 403 200 200 403 403 "
    "403", "{promotion}", "approve", data=SEEN_NAMES),
    send("api:promotion_decide", "403 403 403 403 403 200 200 403 403 "
    "403", "{promotion}", "reject", data=SEEN_NAMES),
    get("api:promotion_policies", "200"),
    get("api:promotion_policy_revisions", "200", "PHI"),
    get("api:guardrails", "200"),
    get("api:guardrail_revisions", "200"),
    get("api:guardrails_measured", "200"),
    get("api:guardrail_changes", "404 404 404 404 404 200 200 404 200 200"),
    send("api:guardrail_changes", "403 403 403 403 403 403 403 403 409 403", data=GUARDRAILS),
    get("api:guardrail_change", "404 404 404 404 404 200 200 404 200 200", "{guard_change}"),
    send("api:guardrail_change_decide", "404 404 404 404 404 200 200 404 403 403",
         "{guard_change}", "approve", data=REASON),
    send("api:guardrail_change_decide", "404 404 404 404 404 200 200 404 403 403",
         "{guard_change}", "reject", data=REASON),
    send("api:guardrail_change_decide", "404 404 404 404 404 403 403 404 200 403",
         "{guard_change}", "withdraw"),
    get("api:guard_hits", "200"),
    send("api:guard_hit_mark", "403 404 403 404 404 200 200 404 200 200", "{guard_hit}",
         data={"mark": "TRUE"}),
    get("api:pipelines", "200"),
    send("api:pipelines_token", "401 401 401 401 401 401 401 401 401 401 401 401",
        data={"token": "e30.e30.e30"}),
    send("api:pipeline_end", "404 404 404 200 403 403 403 404 200 403", "{pipeline}", data=REASON),
    get("api:pipeline_changes", "200"),
    send("api:pipeline_changes", "403 403 403 201 403 403 403 403 201 403", data=PIPELINE),
    get("api:pipeline_change", "404 404 404 200 200 200 200 404 200 200", "{pipeline_change}"),
    send("api:pipeline_change_decide", "404 404 404 403 403 200 200 404 200 403",
        "{pipeline_change}", "approve", data=REASON),
    send("api:pipeline_change_decide", "404 404 404 403 403 200 200 404 403 403",
        "{own_pipeline_change}", "reject", data=REASON),
    send("api:pipeline_change_decide", "404 404 404 403 403 403 403 404 200 403",
        "{own_pipeline_change}", "withdraw"),
    get("api:promotion_policy_changes", "404 404 404 404 404 200 200 404 200 200"),
    send("api:promotion_policy_changes", "403 403 403 403 403 403 403 403 201 403", data=POLICY),
    get("api:promotion_policy_change", "404 404 404 404 404 200 200 404 200 200",
        "{policy_change}"),
    send("api:promotion_policy_change_decide", "404 404 404 404 404 200 200 404 403 "
    "403", "{policy_change}", "approve", data=REASON),
    send("api:promotion_policy_change_decide", "404 404 404 404 404 200 200 404 403 "
    "403", "{own_policy_change}", "reject", data=REASON),
    send("api:promotion_policy_change_decide", "404 404 404 404 404 403 403 404 200 "
    "403", "{own_policy_change}", "withdraw"),
    get("api:rollout", "200", "{rollout}"),
    send("api:rollout_steer", "403 403 403 409 403 409 409 403 409 "
    "403", "{rollout}", "pause", data=REASON),
    send("api:rollout_steer", "403 403 403 409 403 409 409 403 409 403", "{rollout}", "resume"),
    send("api:rollout_steer", "403 403 403 409 403 409 409 403 409 "
    "403", "{rollout}", "roll-back", data=REASON),
    send("api:rollout_steer", "403 403 403 200 403 200 200 403 200 "
    "403", "{failed_rollout}", "retry"),
    send("api:rollout_steer", "403 403 403 200 403 200 200 403 200 "
    "403", "{failed_rollout}", "abort", data=REASON),
]  # fmt: skip


def _is_catch_all(pattern):
    """Tell the route of the API's unknown addresses (tests/portal/test_api.py)."""
    return getattr(pattern.callback, "view_class", None) is UnknownAddress


def names(patterns, prefix=""):
    """Return every URL name of the URLconf."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern) and _is_catch_all(pattern):
            continue
        if isinstance(pattern, URLPattern):
            yield prefix + str(pattern.name)
        else:
            yield from names(
                pattern.url_patterns,
                f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix,
            )


def test_every_address_has_its_line():
    assert set(names(get_resolver().url_patterns)) == {door.name for door in DOORS}


def filled(value, ids):
    """Return a value with the world's ids put in."""
    return str(value).format(**ids) if isinstance(value, str) else value


def knock(door: Door, persona: str, world: cast.World) -> int:
    """Return how the door answers this persona; nothing of it stays."""
    api = door.name.startswith("api:")
    client = Client(raise_request_exception=False) if api else world.client(persona)
    headers = {"Authorization": f"Bearer {persona}"} if api and persona != cast.ANONYMOUS else {}
    url = reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])
    data = {name: filled(value, world.ids) for name, value in door.data.items()}
    content = {"content_type": "application/json"} if door.sent == JSON else {}
    answer = getattr(client, door.method.lower())(url, data, headers=headers, **content)
    cast.read_out(answer)
    return int(answer.status_code)


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_opens_for_those_who_may_and_nobody_else(door, world):
    found = {}
    for persona in cast.EVERYBODY:
        with transaction.atomic():
            found[persona] = knock(door, persona, world)
            transaction.set_rollback(True)
    assert found == dict(zip(cast.EVERYBODY, door.expected, strict=True))


@pytest.mark.parametrize(
    "door", [door for door in DOORS if door.method == "POST" and ":" in door.name], ids=str
)
def test_what_changes_something_is_no_link(door, world):
    """A GET of what takes only POST changes nothing: 405, or the form's own page, where it is this
    person's to see.
    """
    got = knock(Door(door.name, "", "GET", door.args), "platform", world)
    reads = [one for one in DOORS if one.name == door.name and one.method == "GET"]
    at = cast.EVERYBODY.index("platform")
    assert got in ({one.expected[at] for one in reads} or {405})


@pytest.mark.parametrize(
    "door", [door for door in DOORS if door.method in ("POST", "PUT")], ids=str
)
def test_a_session_alone_changes_nothing(door, world):
    """Another site can make a browser send its cookies: without the form's token every door stays
    shut.
    """
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(world.people["owner"])
    url = reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])
    data = {name: filled(value, world.ids) for name, value in door.data.items()}
    content = {"content_type": "application/json"} if door.sent == JSON else {}
    # the upload page's: session and token
    with_session = ("api:versions", "api:version_part", "api:version_finish")
    shut = (
        401
        if door.name.startswith(("api:", "usage_ingest", "traces_ingest"))
        and door.name not in with_session
        else 403
    )
    assert getattr(client, door.method.lower())(url, data, **content).status_code == shut
