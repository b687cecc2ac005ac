"""The product's own processes: web server, Celery worker and its clock, usage follower, observer,
scraper, registry, sealer, gate, their jobs.

They get the product's variables and nothing else, exactly as a deployment would set them; a
variable that the caller of `make up` set is passed through instead of ours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.local.engine.launcher import NoEngine, choose_engine
from deploy.local.platform.cache import cache_folder

from . import bills, credentials, mail, postgres, probes, s3, sample, servicenow, valkey, vault
from .part import Context, Part

BACKENDS = ("postgres", "valkey", "idp")
PUBLISHING = ("sample-data", "sample-weights", "registry-bucket", "registry")
OWNERS_ADDRESS = "MIGRATIONS_DATABASE_URL"
SERVING_IMAGE = "vllm/vllm-openai:v0.32.0"
PASSED = (
    "DATABASE_URL", "DATABASE_PASSWORD", "DATABASE_PASSWORD_FILE", "DATABASE_DIRECT_URL",
    "DATABASE_LOGIN", "REDIS_URL", "REDIS_PASSWORD", "REDIS_PASSWORD_FILE",
    "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET",
    "OIDC_CLIENT_SECRET_FILE",
    "PORTAL_HOSTS", "S3_ADDRESSING", "OIDC_AUDIENCE_BY", "OIDC_SCOPES", "OIDC_API_SCOPE",
    "OIDC_GATEWAY_SCOPE", "OIDC_ROLE_GROUPS",
    "OIDC_API_AUDIENCE", "OIDC_GATEWAY_AUDIENCE", "GITOPS_REMOTE", "GITOPS_BRANCH", "KUBECONFIG",
    "CLUSTER_HTTP_PROXY", "GITOPS_AUTHOR",
    "ARGOCD_NAMESPACE", "ARGOCD_APPLICATION", "ARGOCD_CAPACITY_APPLICATION", "GATEWAY_URL",
    "GATEWAY_NAME", "ENVOY_ADMIN_URL",
    "GATEWAY_NAMESPACE", "GATEWAY_JWKS_URI", "LIMIT_COST", "REGISTRY_BUCKET",
    "GATE_PROCESSES", "GATE_JUDGMENT_SECONDS", "GATE_CALL_SECONDS", "ENGINE_KEY_FILE",
    "PRESIDIO_URL", "PRESIDIO_TOKEN", "PRESIDIO_TOKEN_FILE",
    "USAGE_ARCHIVE_BUCKET", "USAGE_RAW_DAYS", "USAGE_GRACE_HOURS", "STATEMENTS_KEPT_YEARS",
    "REGISTRY_READER_ROLE_ARN",
    "SERVING_IMAGE", "SERVING_S3_ENDPOINT", "SERVING_START_SECONDS", "ENVIRONMENT_NAME",
    "SERVING_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS_FILE", "LOG_FORMAT",
    "ENGINES_ON_CPU", "EVALUATION_COST_LIMIT_USD",
    "NOTICE_FILE",
    "OIDC_CLI_CLIENT_ID", "PIPELINE_ISSUER", "PIPELINE_AUDIENCE",
    "EMERGENCY_REVIEW_HOURS", "SESSION_IDLE_SECONDS", "STEP_UP_SECONDS", "STEP_UP_ACR_VALUES",
    "RECONCILE_LEASE_SECONDS", "ROLLOUT_RETIRE_AFTER_SECONDS",
    "ROLLOUT_LOOK_SECONDS",
    "ROLLOUT_STEPS", "ROLLOUT_HOLD_SECONDS", "ROLLOUT_MINIMUM_CALLS", "SCALING_URL",
    "SCALING_POLL_SECONDS",
    "SCALING_WINDOW_SECONDS", "SCALING_COOLDOWN_SECONDS", "SCALING_PROMETHEUS_URL",
    "SCALING_RETRY_AFTER_SECONDS", "SCALING_PRE_WARM", "METRICS_INTERVAL_SECONDS",
    "METRICS_RETENTION_DAYS",
    "PROMETHEUS_URL", "PROMETHEUS_TOKEN_FILE", "DCGM_URL", "DCGM_POD_LABELS", "DCGM_PORT",
    "AWS_PRICES", "CUR_BUCKET", "CUR_PREFIX", "CUR_EXPORT", "CUR_ACCOUNTS",
    "BILL_TOLERANCE_PERCENT", "CLOSE_NEEDS_BILL",
    "SERVICENOW_URL", "SERVICENOW_CLIENT_ID", "SERVICENOW_CLIENT_SECRET",
    "SERVICENOW_CLIENT_SECRET_FILE", "SERVICENOW_LOOK_SECONDS", "SERVICENOW_WINDOW_HOURS",
    "SERVICENOW_CHANGE_MODEL", "SERVICENOW_ASSIGNMENT_GROUP", "SERVICENOW_CI",
    "SERVICENOW_CALLER", "SERVICENOW_IGNORED_FIELDS", "SERVICENOW_INCIDENT_CLOSE_CODE",
    "SIGNER", "SIGNING_KMS_KEY", "SIGNING_TRANSIT_KEY", "REGISTRY_PUBLIC_KEYS_FILE",
    "REGISTRY_KMS_KEY", "VERIFY_EVERY_DAYS", "AUDIT_SIGNER", "AUDIT_KMS_KEY",
    "AUDIT_TRANSIT_KEY", "AUDIT_PUBLIC_KEYS_FILE", "VAULT_ADDR", "VAULT_NAMESPACE",
    "VAULT_TRANSIT_MOUNT", "VAULT_TOKEN_FILE", "VAULT_ROLE", "VAULT_AUTH_MOUNT",
    "VAULT_JWT_FILE",
    "MAIL_URL", "MAIL_URL_FILE", "MAIL_FROM", "DIGEST_HOUR", "DIGEST_ZONE", "NOTICE_DAYS",
    "WEBHOOK_HOSTS", "WEBHOOK_NETWORKS",
    "PROMPTS_BUCKET", "PROMPT_KEYS", "PROMPT_KMS_KEY", "PROMPT_TRANSIT_KEY",
    "PROMPT_SUBJECT_KEY", "PROMPT_SUBJECT_KEY_FILE", "PROMPT_BACKUP_DAYS",
)  # fmt: skip


def portal_url(context: Context) -> str:
    """Return the address people open."""
    return f"http://127.0.0.1:{context.ports('portal', 8000)}"


def issuer(context: Context) -> str:
    """Return the identity provider's address: ours, or the one that replaces it."""
    return context.env.get("OIDC_ISSUER") or f"http://127.0.0.1:{context.ports('idp', 8090)}"


def collector(context: Context) -> str:
    """Return where the stack's Collector takes OTLP over HTTP."""
    return f"http://127.0.0.1:{context.ports('otelcol-http', 14318)}"


def environment(context: Context) -> dict[str, str]:
    """Return every variable that the product reads."""
    secrets = credentials.folder(context)
    ours = {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY_FILE": str(credentials.secret_file(context, "secret-key")),
        "PORTAL_URL": portal_url(context),
        "ENVIRONMENT_NAME": "local",
        "SAMPLE": sample.kind(context),
        "NOTICE_FILE": str(context.state / "notice.txt"),
        "DATABASE_URL": postgres.url(context),
        "REDIS_URL": valkey.url(context),
        "OIDC_ISSUER": issuer(context),
        "OIDC_CLIENT_ID": "quartermaster-portal",
        "OIDC_CLIENT_SECRET_FILE": str(credentials.secret_file(context, "oidc-client-secret")),
        "REGISTRY_BUCKET": s3.BUCKET,
        "REGISTRY_RETENTION_DAYS": "1",
        "USAGE_ARCHIVE_BUCKET": s3.USAGE_BUCKET,
        "AUDIT_BUCKET": s3.AUDIT_BUCKET,
        "PROMPTS_BUCKET": s3.PROMPTS_BUCKET,
        "PROMPT_SUBJECT_KEY_FILE": str(credentials.secret_file(context, "prompt-subject-key")),
        "AUDIT_RETENTION_DAYS": "1",
        "AUDIT_CHECKPOINT_SECONDS": "30",
        "AUDIT_PUBLIC_KEYS_FILE": str(vault.public_keys(context, vault.SEALER)),
        "REGISTRY_PUBLIC_KEYS_FILE": str(vault.public_keys(context, vault.REGISTRY)),
        "GITOPS_REMOTE": f"file://{context.state}/gitops.git",
        "GITOPS_BRANCH": "main",
        "GITOPS_WORKDIR": str(context.folder("gitops-work")),
        "KUBECONFIG": str(context.folder("cluster") / "kubeconfigs" / "portal"),
        "CLUSTER_HTTP_PROXY": f"http://127.0.0.1:{context.ports('cluster-proxy', 18888)}",
        "GATEWAY_URL": f"http://127.0.0.1:{context.ports('envoy', 8080)}",
        "ENVOY_ADMIN_URL": f"http://127.0.0.1:{context.ports('envoy-admin', 19901)}",
        "ROLLOUT_HOLD_SECONDS": "10",  # nobody waits five minutes to see a rollout here
        "ROLLOUT_MINIMUM_CALLS": "20",
        # a real engine has a CPU here; the stand-in answers a whole suite in time
        "ENGINES_ON_CPU": str(_is_real_engine(context)),
        "SERVING_IMAGE": SERVING_IMAGE,
        "SERVING_S3_ENDPOINT": s3.endpoint(context).partition("://")[2],
        "SERVING_TRACES_ENDPOINT": f"{collector(context)}/v1/traces",
        "USAGE_INGEST_TOKEN_FILE": str(secrets / "usage-ingest-token"),
        "SCALING_TOKEN_FILE": str(credentials.scaling_token_file(context)),
        "USAGE_LOG_FILE": str(context.folder("gateway") / "access.log"),
        "DCGM_URL": f"http://127.0.0.1:{context.ports('kubelet', 19020)}",
    }
    ours |= servicenow.environment(context)
    ours |= mail.environment(context)
    if bills.is_ours(context):
        ours |= bills.environment()
    # a cluster of one's own has exporters of its own, and our kubelet does not run
    if context.env.get("KUBECONFIG"):
        del ours["DCGM_URL"]
    theirs = {name: context.env[name] for name in PASSED if context.env.get(name)}
    if "PROMPT_SUBJECT_KEY" in theirs:
        del ours["PROMPT_SUBJECT_KEY_FILE"]
    if "OIDC_CLIENT_SECRET" in theirs:
        del ours["OIDC_CLIENT_SECRET_FILE"]
    return ours | s3.client_env(context, "portal") | theirs


def _is_real_engine(context: Context) -> bool:
    """Tell whether versions are served by real vLLM, which has a CPU here."""
    try:
        return not choose_engine(context.env).is_stand_in
    except NoEngine:
        return False  # the kubelet says what is wrong


def _owners_address(context: Context) -> dict[str, str]:
    """Return what the two jobs that own the tables get besides; nobody else gets it."""
    if not context.env.get("DATABASE_URL"):
        return {OWNERS_ADDRESS: postgres.owner_url(context)}
    theirs = context.env.get(OWNERS_ADDRESS)
    return {OWNERS_ADDRESS: theirs} if theirs else {}


def parts(context: Context) -> list[Part]:
    """Return the product's processes and jobs."""
    env = environment(context)
    owner = env | _owners_address(context)
    (context.folder("gateway") / "access.log").touch(mode=0o600)
    weights = cache_folder(context.env) / "sample-weights"
    return [
        job(context, owner, "migrations", "migrate", "--no-input", needs=("postgres",)),
        job(context, owner, "privileges", "grant_privileges", needs=("migrations",)),
        _portal(context, env | vault.prompt_environment(context, vault.READER)),
        job(context, env, "sample-data", "load_sample", needs=("portal",)),
        _sample_weights(context, weights),
        job(
            context,
            env,
            "sample-versions",
            "load_sample",
            "--versions",
            str(weights),
            needs=PUBLISHING,
        ),
        *sample.parts(context, env),
        _worker(context, _engine_key(context, "evals") | env),
        _process(context, env, "beat", [context.python, "-m", "worker.processes", "beat"]),
        _process(
            context,
            env,
            "usage-follower",
            [context.python, "-m", "worker.processes", "usage_follower"],
        ),
        _process(context, env, "observer", [context.python, "-m", "worker.processes", "observer"]),
        _process(context, env, "scraper", [context.python, "-m", "worker.processes", "scraper"]),
        _signing(context, env, vault.REGISTRY),
        _signing(context, env, vault.SEALER),
        _gate(context, _engine_key(context, "models") | env),
    ]


def job(
    context: Context, env: dict[str, str], name: str, *command: str, needs: tuple[str, ...]
) -> Part:
    """Return a management command that runs once at each start of the stack."""
    return Part(
        name=name, command=[context.python, "manage.py", *command], address="", ready=lambda: None,
        env=env,
        needs=needs, once=True,
    )  # fmt: skip


def _sample_weights(context: Context, folder: Path) -> Part:
    """Return the job that makes the sample model's folders, shared by all stacks; a second time it
    does nothing.
    """
    command = ["nice", context.python, "-m", "deploy.local.engine.sample", str(folder)]
    return Part(
        name="sample-weights",
        command=command,
        address=str(folder),
        ready=lambda: None,
        needs=("portal",),
        once=True,
    )


def web_command(python: str, port: int) -> list[str]:
    """Return the web server's command line. `make bench-web` says why this server."""
    listen = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
    size = [
        "--workers",
        "1",
        "--blocking-threads",
        "8",
        "--backlog",
        "256",
        "--respawn-failed-workers",
    ]
    return [python, "-m", "granian", *listen, *size, "portal.wsgi:application"]


def _portal(context: Context, env: dict[str, str]) -> Part:
    port = context.ports("portal", 8000)
    return Part(
        name="portal",
        command=web_command(context.python, port),
        address=portal_url(context),
        ready=lambda: probes.http_ok(port, "/healthz"),
        env=env,
        needs=(*BACKENDS, "privileges"),
    )


def _worker(context: Context, env: dict[str, str]) -> Part:
    flags = [
        "--concurrency",
        "2",
        "--loglevel",
        "INFO",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    return _process(
        context,
        env,
        "worker",
        [context.python, "-m", "celery", "-A", "worker.celery", "worker", *flags],
    )


def _signing(context: Context, env: dict[str, str], name: str) -> Part:
    """Return a process that signs: it alone gets the way to its key."""
    env = env | vault.signing_environment(context, name)
    part = _process(context, env, name, [context.python, "-m", "worker.processes", name])
    return replace(part, needs=(*part.needs, *vault.needs(context, name)))


def _gate(context: Context, env: dict[str, str]) -> Part:
    """Return the gate: one copy, ready once it has read what people decided."""
    health = context.ports("gate-health", 19031)
    address = f"127.0.0.1:{context.ports('gate', 19030)}"
    ours = {
        "GATE_LISTEN": address,
        "GATE_HEALTH_LISTEN": f"127.0.0.1:{health}",
        "GATE_DRAIN_SECONDS": "5",  # the stack waits for a part's end for ten
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector(context),  # its step of each call's trace
    }
    ours |= env | vault.prompt_environment(context, vault.GATE)
    part = _process(context, ours, "gate", [context.python, "-m", "worker.processes", "gate"])
    return replace(
        part,
        needs=(*part.needs, *vault.prompt_needs(context)),
        address=address,
        ready=lambda: probes.http_ok(health, "/healthz"),
        replaced_by="GATEWAY_URL",
    )


def _engine_key(context: Context, namespace: str) -> dict[str, str]:
    """Return the way to the key of a namespace's engines, for who asks them past the gateway: who
    evaluates, and the gate, whose guards are models.
    """
    return {"ENGINE_KEY_FILE": str(credentials.engine_key_file(context, namespace))}


def _process(context: Context, env: dict[str, str], name: str, command: list[str]) -> Part:
    """Return a process that listens to nobody: it works as long as it runs."""
    return Part(
        name=name,
        command=command,
        address="",
        ready=lambda: None,
        env=env,
        needs=("postgres", "valkey", "privileges"),
    )
