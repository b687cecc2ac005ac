"""Every setting, read from the environment through env.py. Environments differ by variables only
(README.md).
"""

from datetime import timedelta
from email.utils import formataddr
from pathlib import Path
from urllib.parse import urlsplit

from portal.env import (
    env_bool,
    env_choice,
    env_cost,
    env_decimal,
    env_groups,
    env_hosts,
    env_hours,
    env_image,
    env_int,
    env_issuer,
    env_listen,
    env_mail,
    env_names,
    env_networks,
    env_percents,
    env_role_rule,
    env_secret,
    env_sender,
    env_store,
    env_str,
    env_url,
    env_zone,
)
from portal.stores import PASSWORD, STARTS_WITH, check_same, env_broker, env_database

BASE_DIR = Path(__file__).resolve().parent.parent
SIGNERS = ("file", "kms", "transit")  # where a private key that signs may be

# -- The portal itself -----------------------------------------------------------------------------
SECRET_KEY = env_secret("SECRET_KEY")
# Of the ids that stand for persons where usage is shown; empty: of SECRET_KEY, changing with it.
PERSON_ID_KEY = env_secret("PERSON_ID_KEY", "")
DEBUG = env_bool("DEBUG", False)
ENVIRONMENT_NAME = env_str("ENVIRONMENT_NAME", "local")
PORTAL_URL = env_url("PORTAL_URL", "http://127.0.0.1:8000")
# "year": there is, or may be, a sample year of an invented company here, and pages say so
SAMPLE = env_choice("SAMPLE", "none", ("none", "year"))
NOTICE_FILE = env_str("NOTICE_FILE", "")  # its first line is shown on every page
_portal = urlsplit(PORTAL_URL)
_OURS = f"Quartermaster <quartermaster@{_portal.hostname}>"
# The names that pages and the API answer to; a machine that asks for its own door may come by the
# address of a pod or a Service (portal/middleware.py).
ALLOWED_HOSTS = [
    _portal.hostname or "",
    "127.0.0.1",
    "localhost",
    *sorted(env_hosts("PORTAL_HOSTS")),
]
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]
ROOT_URLCONF = "portal.urls"
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "template_partials",
    "mozilla_django_oidc",
    "apps.audit",
    "apps.traces",
    "apps.accounts",
    "apps.notices",
    "apps.catalog",
    "apps.evals",
    "apps.access",
    "apps.fleet",
    "apps.capacity",
    "apps.promotions",
    "apps.metering",
    "apps.chargeback",
    "apps.prompts",
    "apps.gateway",
    "apps.slo",
    "apps.incidents",
    "apps.oversight",
    "portal",
]
MIDDLEWARE = [
    "portal.middleware.request_id",
    "portal.middleware.machines_by_any_name",
    "portal.middleware.knows_sample",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.varies_by_htmx",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "portal.middleware.no_null_bytes",
    "portal.middleware.whole_bodies",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.middleware.sign_in_required",
    "portal.middleware.refusals",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.shell",
            ],
            "builtins": ["portal.tags"],
        },
    },
]

# -- Database, queue -----------------------------------------------------------------------------
# "iam": who connects to the database shows a token of AWS IAM instead of a password.
_login = env_choice("DATABASE_LOGIN", PASSWORD, (PASSWORD, "iam"))
# The database itself, for what needs a session of its own, where DATABASE_URL leads to a pooler in
# transaction mode (apps/integrations/postgres); {}: DATABASE_URL leads there.
DATABASE_DIRECT = env_database(
    "DATABASE_DIRECT_URL", "", beside="DATABASE_PASSWORD", login=_login, options=STARTS_WITH
)
# The portal's role: it owns no table and may do only what portal/privileges.py says.
DATABASES = {
    "default": env_database(
        "DATABASE_URL",
        beside="DATABASE_PASSWORD",
        login=_login,
        options={"is_pooled": True} if DATABASE_DIRECT else STARTS_WITH,
    )
    | {
        "ENGINE": "apps.integrations.postgres",
        # Each thread keeps its connection. There is no pool in the process: it would have as many
        # as there are threads, cannot be shared by pods, and would keep a password that rotated.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
check_same(DATABASE_DIRECT, DATABASES["default"])
DATABASE_NAME, DATABASE_ROLE = (str(DATABASES["default"][name]) for name in ("NAME", "USER"))
# The same database as its owner. Set it for `manage.py migrate` and `manage.py grant_privileges`
# alone, which are all that connect with it (portal/database.py).
MIGRATIONS_DATABASE = env_database(
    "MIGRATIONS_DATABASE_URL",
    "",
    beside="MIGRATIONS_DATABASE_PASSWORD",
    login=_login,
    options=STARTS_WITH,
)
_broker = env_broker("REDIS_URL", beside="REDIS_PASSWORD")
REDIS_URL = _broker.address  # without its login
REDIS_LOGIN = _broker.login
CELERY_BROKER_URL = _broker.for_celery
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A page must not wait for a dead broker (6 s otherwise): one try; the worker's own reconnecting is
# not bound by it.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_connect_timeout": 3,
    "socket_timeout": 10,
    "max_retries": 1,
    "interval_start": 0,
}
CELERY_TASK_TIME_LIMIT = 120
# A lease must outlast any task: it covers a crash only (apps/common/leases.py).
RECONCILE_LEASE_SECONDS = env_int("RECONCILE_LEASE_SECONDS", 180, minimum=1)

# -- Sign-in ---------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["apps.accounts.oidc.ClaimsBackend"]
OIDC_ISSUER = env_url("OIDC_ISSUER")
OIDC_RP_CLIENT_ID = env_str("OIDC_CLIENT_ID", "quartermaster-portal")
OIDC_RP_CLIENT_SECRET = env_secret("OIDC_CLIENT_SECRET")
OIDC_API_AUDIENCE = env_str("OIDC_API_AUDIENCE", "quartermaster-api")
OIDC_GATEWAY_AUDIENCE = env_str("OIDC_GATEWAY_AUDIENCE", "quartermaster-gateway")
# How a token for one of these audiences is asked for: by RFC 8707's parameter, or by a scope, as
# Microsoft Entra ID does, which refuses that parameter and knows no scope "groups".
_by_scope = env_choice("OIDC_AUDIENCE_BY", "resource", ("resource", "scope")) == "scope"
OIDC_SCOPES = env_str(
    "OIDC_SCOPES", f"openid profile email {'' if _by_scope else 'groups '}offline_access"
)
OIDC_API_SCOPE = env_str("OIDC_API_SCOPE", f"api://{OIDC_API_AUDIENCE}/.default")
OIDC_GATEWAY_SCOPE = env_str("OIDC_GATEWAY_SCOPE", f"api://{OIDC_GATEWAY_AUDIENCE}/.default")
OIDC_API_ASKED, OIDC_GATEWAY_ASKED = (
    {"scope": f"{OIDC_SCOPES} {scope}"} if _by_scope else {"resource": audience}
    for audience, scope in (
        (OIDC_API_AUDIENCE, OIDC_API_SCOPE),
        (OIDC_GATEWAY_AUDIENCE, OIDC_GATEWAY_SCOPE),
    )
)
OIDC_RP_SCOPES = OIDC_GATEWAY_ASKED.get("scope", OIDC_SCOPES)
# Which role a group of the identity provider gives, by its name or, as Entra ID sends them, its id.
ROLE_OF_GROUP = env_groups(
    "OIDC_ROLE_GROUPS",
    "qm-team-leads=TEAM_LEAD, qm-developers=DEVELOPER, qm-model-owners=MODEL_OWNER, "
    "qm-reviewers=REVIEWER, qm-finance=FINANCE, qm-platform=PLATFORM_ENGINEER, "
    "qm-auditors=AUDITOR",
)
OIDC_USE_PKCE = True
OIDC_PKCE_CODE_CHALLENGE_METHOD = "S256"
OIDC_CLI_CLIENT_ID = env_str("OIDC_CLI_CLIENT_ID", "quartermaster-cli")  # public, device grant
OIDC_TIMEOUT = 4  # seconds; who waits for it holds a thread
# The token that people's calls carry to the gateway is asked for at sign-in
# (apps/accounts/sessions.py).
OIDC_AUTH_REQUEST_EXTRA_PARAMS = {} if _by_scope else OIDC_GATEWAY_ASKED
# The endpoints follow from the issuer's discovery document (apps/accounts/oidc.py).
LOGIN_URL = "/oidc/authenticate/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/signed-out/"
SESSION_ENGINE = "apps.accounts.session_store"
SESSION_COOKIE_AGE = int(timedelta(hours=8).total_seconds())
SESSION_IDLE_SECONDS = env_int("SESSION_IDLE_SECONDS", 3600, minimum=30)
# Who signs the tokens of pipelines, and what those must be meant for: this portal and no other.
PIPELINE_ISSUER = env_issuer(
    "PIPELINE_ISSUER", "https://token.actions.githubusercontent.com", apart_from=OIDC_ISSUER
)
PIPELINE_AUDIENCE = env_str("PIPELINE_AUDIENCE", PORTAL_URL)
# How old the sign-in of somebody who decides may be, and which ways of signing in do for it (the
# provider's acr values; any of them where none is named).
STEP_UP_SECONDS = env_int("STEP_UP_SECONDS", 900, minimum=30)
STEP_UP_ACR_VALUES = tuple(env_str("STEP_UP_ACR_VALUES", "").split())
_https = _portal.scheme == "https"
SESSION_COOKIE_NAME = "__Host-session" if _https else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if _https else "csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

# -- What the browser may do -----------------------------------------------------------------------
SECURE_SSL_REDIRECT = False  # the load balancer redirects
SECURE_HSTS_SECONDS = 31536000 if _https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "portal.errors.csrf_failure"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'", _origin(OIDC_ISSUER)],  # sign-out posts here and is led there
    }
}
STATIC_URL = "static/"
# made by `npm run build`; names carry a hash (portal/assets.py)
ASSETS_DIR = BASE_DIR / "static" / "dist" / "app"
STATICFILES_DIRS = [("app", ASSETS_DIR)]
# a build may come while the portal runs; files are few
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = True
WHITENOISE_IMMUTABLE_FILE_TEST = r"^.+-[0-9a-f]{10}\.\w+$"
# the tones of components/_toast.html
MESSAGE_TAGS = {10: "busy", 20: "busy", 25: "ok", 30: "warn", 40: "bad"}
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
FILE_UPLOAD_HANDLERS = [
    "apps.common.uploads.LimitedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# -- API -------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.accounts.oidc.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["portal.parsers.BoundedJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "portal.api.problem",
    "UNAUTHENTICATED_USER": None,
}

# The document at /api/v1/schema. What each operation takes and answers stands beside it, in
# apps/*/api.py (apps/common/openapi.py).
SPECTACULAR_SETTINGS = {
    "TITLE": "Quartermaster",
    "DESCRIPTION": "Models, who may call them, what they do to earn production, and what they "
    "cost. Lists come in pages: follow `next` until it is null.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "AccessRequestStatus": "apps.access.models.AccessRequest.Status",
        "CapacityRequestStatus": "apps.capacity.models.CapacityRequest.Status",
        "PriceChangeStatus": "apps.chargeback.models.PriceChange.Status",
        "ChangeRecordKind": "apps.promotions.changes.models.ChangeRecord.Kind",
        "ChangeRecordStatus": "apps.promotions.changes.models.ChangeRecord.Status",
        "EpisodeKind": "apps.incidents.models.Episode.Kind",
        "EpisodeStatus": "apps.incidents.models.Episode.Status",
        "ObjectiveHealth": "apps.slo.burn.Health",
        "ObjectiveKind": "apps.slo.burn.Kind",
        "BudgetMode": "apps.access.budgets.models.Mode",
        "PromptMode": "apps.prompts.rules.rules.Mode",
        "SignerKind": "apps.catalog.signers.models.Signer.Kind",
        "SignerRevocationStatus": "apps.catalog.signers.models.SignerRevocation.Status",
        "VerificationCause": "apps.catalog.verification.models.Verification.Cause",
        "VerificationStatus": "apps.catalog.verification.models.Verification.Status",
        "EvalRunStatus": "apps.evals.models.EvalRun.Status",
        "EvidencePackKind": "apps.oversight.evidence.models.EvidencePack.Kind",
        "EvidencePackStatus": "apps.oversight.evidence.models.EvidencePack.Status",
        "ModelVersionStatus": "apps.catalog.models.ModelVersion.Status",
        "NoticeKind": "apps.notices.models.Kind",
        "PipelineChangeStatus": "apps.accounts.pipelines.models.PipelineChange.Status",
        "PromotionStatus": "apps.promotions.models.Promotion.Status",
        "RoleReviewStatus": "apps.accounts.recertification.models.RoleReview.Status",
        "RolloutStatus": "apps.promotions.models.Rollout.Status",
    },
}

# -- Model registry (S3; boto3 reads AWS_* itself) -------------------------------------------------
# How a bucket is addressed: by a host of its own, as AWS wants it; in the path of a server of your
# own, whose name stands for no bucket's.
_own_server = env_str("AWS_ENDPOINT_URL_S3", "") or env_str("AWS_ENDPOINT_URL", "")
S3_ADDRESSING = env_choice(
    "S3_ADDRESSING", "path" if _own_server else "auto", ("auto", "path", "virtual")
)
REGISTRY_BUCKET = env_str("REGISTRY_BUCKET", "model-registry")
REGISTRY_RETENTION_DAYS = env_int("REGISTRY_RETENTION_DAYS", 365, minimum=1)
# how the role of a model's engines is called, {model} for its name; empty: keys come another way
REGISTRY_READER_ROLE_ARN = env_role_rule("REGISTRY_READER_ROLE_ARN")
# the key of KMS that must encrypt every object, by its address; empty: none is asked for
REGISTRY_KMS_KEY = env_str("REGISTRY_KMS_KEY", "")
# every byte of a verified version is read again so many days after it was read last
VERIFY_EVERY_DAYS = env_int("VERIFY_EVERY_DAYS", 7, minimum=1, maximum=365)

# -- Signing keys: a file, AWS KMS, or Vault's transit engine --------------------------------------
# For the registry's process alone, which signs manifests with the one key that SIGNER asks for.
SIGNER = env_choice("SIGNER", "file", SIGNERS).upper()
SIGNING_KEY_FILE = env_str("SIGNING_KEY_FILE", "")
SIGNING_KMS_KEY = env_str("SIGNING_KMS_KEY", "")
SIGNING_TRANSIT_KEY = env_str("SIGNING_TRANSIT_KEY", "model-registry")
# the public keys that may have signed manifests earlier, one PEM after the other: they stay known
REGISTRY_PUBLIC_KEYS_FILE = env_str("REGISTRY_PUBLIC_KEYS_FILE", "")
# For the sealer's process alone, which signs checkpoints of the record.
AUDIT_SIGNER = env_choice("AUDIT_SIGNER", "file", SIGNERS).upper()
AUDIT_KMS_KEY = env_str("AUDIT_KMS_KEY", "")
AUDIT_TRANSIT_KEY = env_str("AUDIT_TRANSIT_KEY", "audit-record")
VAULT_ADDR = env_url("VAULT_ADDR", "")
VAULT_NAMESPACE = env_str("VAULT_NAMESPACE", "")
VAULT_TRANSIT_MOUNT = env_str("VAULT_TRANSIT_MOUNT", "transit")
# a token that an agent leases and writes, read at each use; else a login with the pod's own service
# account in this role
VAULT_TOKEN_FILE = env_str("VAULT_TOKEN_FILE", "")
VAULT_ROLE = env_str("VAULT_ROLE", "")
VAULT_AUTH_MOUNT = env_str("VAULT_AUTH_MOUNT", "kubernetes")
VAULT_JWT_FILE = env_str("VAULT_JWT_FILE", "/var/run/secrets/kubernetes.io/serviceaccount/token")

# -- The record: sealed, signed, anchored where its database cannot reach it -----------------------
# the log's name in its checkpoints, as C2SP wants it: like an address without its scheme. It never
# changes, whatever becomes of the portal's own address: earlier checkpoints would be another log's.
AUDIT_ORIGIN = env_str("AUDIT_ORIGIN", "quartermaster/audit")
# the public keys that may have signed checkpoints, one PEM after the other: first the one that
# signs now, then those of before
AUDIT_PUBLIC_KEYS_FILE = env_str("AUDIT_PUBLIC_KEYS_FILE")
# the private key: for the sealer's process alone, which does not start without it
AUDIT_SIGNING_KEY_FILE = env_str("AUDIT_SIGNING_KEY_FILE", "")
AUDIT_BUCKET = env_str("AUDIT_BUCKET", "audit-record")
# six years, as 45 CFR 164.316(b)(2) keeps documentation
AUDIT_RETENTION_DAYS = env_int("AUDIT_RETENTION_DAYS", 2192, minimum=1)
# between two checkpoints; what is younger than that can still be rewritten unnoticed
AUDIT_CHECKPOINT_SECONDS = env_int("AUDIT_CHECKPOINT_SECONDS", 300, minimum=1)

# -- Git and the cluster ---------------------------------------------------------------------------
GITOPS_REMOTE = env_secret("GITOPS_REMOTE")
# who the commits say made them, as the Git server knows its account
GITOPS_AUTHOR = env_sender("GITOPS_AUTHOR", _OURS)
GITOPS_BRANCH = env_str("GITOPS_BRANCH", "main")
GITOPS_WORKDIR = env_str("GITOPS_WORKDIR")
KUBECONFIG = env_str("KUBECONFIG", "")  # empty: the pod's own service account
CLUSTER_HTTP_PROXY = env_url("CLUSTER_HTTP_PROXY", "")
ARGOCD_NAMESPACE = env_str("ARGOCD_NAMESPACE", "argocd")
ARGOCD_APPLICATION = env_str("ARGOCD_APPLICATION", "serving")
ARGOCD_CAPACITY_APPLICATION = env_str("ARGOCD_CAPACITY_APPLICATION", "capacity")
# what pods run is held against it for as long as they serve: only the local stack may name a tag
SERVING_IMAGE = env_image(
    "SERVING_IMAGE", "vllm/vllm-openai:v0.32.0", pinned=ENVIRONMENT_NAME != "local"
)
SERVING_S3_ENDPOINT = env_str("SERVING_S3_ENDPOINT", "")
# Where engines send spans of their calls, as OTLP over HTTP: the whole address, with /v1/traces.
# Empty: they send none. A version takes another one with its next rollout.
SERVING_TRACES_ENDPOINT = env_url("SERVING_TRACES_ENDPOINT", "")
# an engine not ready by then is killed
SERVING_START_SECONDS = env_int("SERVING_START_SECONDS", 1800, minimum=10)
# Where engines have a CPU only, an evaluation asks the declared subset of its suite and no more.
ENGINES_ON_CPU = env_bool("ENGINES_ON_CPU", False)
# Dollars that an evaluation's machines may cost, where whoever starts it says nothing else.
EVALUATION_COST_LIMIT_USD = env_decimal("EVALUATION_COST_LIMIT_USD", "25")
# Within how many hours somebody else reviews a rollout that began without approvals.
EMERGENCY_REVIEW_HOURS = env_int("EMERGENCY_REVIEW_HOURS", 24, minimum=1, maximum=720)
# A candidate beside a live baseline gets these shares of the callers; each below 100 is held this
# long, then judged.
ROLLOUT_STEPS = env_percents("ROLLOUT_STEPS", "10,50,100")
ROLLOUT_HOLD_SECONDS = env_int("ROLLOUT_HOLD_SECONDS", 300, minimum=1, maximum=86_400)
# of each version, to compare them at all
ROLLOUT_MINIMUM_CALLS = env_int("ROLLOUT_MINIMUM_CALLS", 50, minimum=1, maximum=1_000_000)
ROLLOUT_RETIRE_AFTER_SECONDS = env_int("ROLLOUT_RETIRE_AFTER_SECONDS", 600)
# between two looks at a version that answers
ROLLOUT_LOOK_SECONDS = env_int("ROLLOUT_LOOK_SECONDS", 60, minimum=1)

# -- Access ----------------------------------------------------------------------------------------
# an owner looks at a grant again so long after it began, or was kept
ACCESS_RECERTIFICATION_DAYS = env_int("ACCESS_RECERTIFICATION_DAYS", 90, minimum=1)

# -- Roles -----------------------------------------------------------------------------------------
# who oversees looks at a role again so long after somebody got it, or it was kept
ROLE_RECERTIFICATION_DAYS = env_int("ROLE_RECERTIFICATION_DAYS", 180, minimum=1)

# -- Versions whose replicas come and go with their callers ----------------------------------------
SCALING_URL = env_url("SCALING_URL", f"{PORTAL_URL}/v1/scaling")  # where KEDA asks for demand
SCALING_TOKEN_FILE = env_str("SCALING_TOKEN_FILE")
# the key that engines ask for; read at each use, by who evaluates and by the gate
ENGINE_KEY_FILE = env_str("ENGINE_KEY_FILE", "")
SCALING_POLL_SECONDS = env_int("SCALING_POLL_SECONDS", 15, minimum=1)
# a call is demand for so long after its end
SCALING_WINDOW_SECONDS = env_int("SCALING_WINDOW_SECONDS", 60, minimum=5)
SCALING_COOLDOWN_SECONDS = env_int("SCALING_COOLDOWN_SECONDS", 900, minimum=1)
# of a server that scrapes the engines, as KEDA reaches it; empty: the portal tells their load
SCALING_PROMETHEUS_URL = env_url("SCALING_PROMETHEUS_URL", "")
SCALING_RETRY_AFTER_SECONDS = env_int("SCALING_RETRY_AFTER_SECONDS", 30, minimum=1)
# Hours, as "mon-fri 07:30-19:00 America/New_York", that the form of a proposal suggests for keeping
# a replica ready.
SCALING_PRE_WARM = env_hours("SCALING_PRE_WARM")

# -- Gateway and usage -----------------------------------------------------------------------------
GATEWAY_URL = env_url("GATEWAY_URL")
GATEWAY_NAME = env_str("GATEWAY_NAME", "ai-gateway")
GATEWAY_NAMESPACE = env_str("GATEWAY_NAMESPACE", "ai-gateway")
# a way to /config_dump of Envoy's admin interface; empty: pages say that Envoy is not read
ENVOY_ADMIN_URL = env_url("ENVOY_ADMIN_URL", "")
# empty: what the issuer's discovery document says
GATEWAY_JWKS_URI = env_url("GATEWAY_JWKS_URI", "")
# What a call counts against its team's tokens per minute, in CEL; a route takes a new one with its
# next rollout.
LIMIT_COST = env_cost("LIMIT_COST", "total_tokens")
# For the gate's processes alone: where Envoy asks, where their health is told, how many there are.
GATE_LISTEN = env_listen("GATE_LISTEN", "0.0.0.0:9003")
GATE_HEALTH_LISTEN = env_listen("GATE_HEALTH_LISTEN", "0.0.0.0:9004")
# with tls.crt and tls.key, read anew for each connection; empty: without TLS
GATE_TLS_FOLDER = env_str("GATE_TLS_FOLDER", "")
GATE_PROCESSES = env_int("GATE_PROCESSES", 1, minimum=1, maximum=64)
# what one check of a call may take: less than the messageTimeout in deploy/gateway/gate.yaml, so
# that a caller hears why; and the longest call there may be
GATE_JUDGMENT_SECONDS = env_int("GATE_JUDGMENT_SECONDS", 8, minimum=1, maximum=9)
GATE_CALL_SECONDS = env_int("GATE_CALL_SECONDS", 3600, minimum=1)
# a customer's analyzer of texts, for rules of the guard that ask it; empty: there is none
PRESIDIO_URL = env_url("PRESIDIO_URL", "")
PRESIDIO_TOKEN = env_secret("PRESIDIO_TOKEN", "")
# for so long a gate that ends lets the calls under way end
GATE_DRAIN_SECONDS = env_int("GATE_DRAIN_SECONDS", 30)
USAGE_INGEST_TOKEN_FILE = env_str("USAGE_INGEST_TOKEN_FILE")
# who is billed and who bills, in FOCUS exports
BILLING_ACCOUNT_ID = env_str("BILLING_ACCOUNT_ID", "quartermaster")
BILLING_ACCOUNT_NAME = env_str("BILLING_ACCOUNT_NAME", "Quartermaster")
BILLING_ISSUER_NAME = env_str("BILLING_ISSUER_NAME", "Quartermaster Platform")
BILLING_REGION = env_str("BILLING_REGION", "")
# The bill of AWS: a CUR 2.0 export in Parquet, s3://CUR_BUCKET/CUR_PREFIX/CUR_EXPORT. Without a
# bucket no bill is read, and pages say so.
CUR_BUCKET = env_str("CUR_BUCKET", "")
CUR_PREFIX = env_str("CUR_PREFIX", "")
CUR_EXPORT = env_str("CUR_EXPORT") if CUR_BUCKET else ""
# whose lines count, by usage account; empty: everybody's
CUR_ACCOUNTS = env_names("CUR_ACCOUNTS")
# how far bill and ledger may be apart on a day, in percent of the bill's machine time
BILL_TOLERANCE_PERCENT = env_decimal("BILL_TOLERANCE_PERCENT", "0.5")
# whether a month can be closed without its bill: never, not where a bill is configured, or always
CLOSE_NEEDS_BILL = env_choice("CLOSE_NEEDS_BILL", "configured", ("always", "configured", "never"))
# months before the present one whose usage is kept, and still counted when it comes late
USAGE_KEPT_MONTHS = env_int("USAGE_KEPT_MONTHS", 24, minimum=1)
USAGE_LOG_FILE = env_str("USAGE_LOG_FILE", "")
# where single calls are kept: "": in Postgres; clickhouse://user:password@host:port/database
USAGE_STORE_URL = env_store("USAGE_STORE_URL")
# hours after an hour's end for which its calls are still expected: a Collector keeps them on its
# disk while the portal is away
USAGE_GRACE_HOURS = env_int("USAGE_GRACE_HOURS", 6, minimum=1)
# days after which the calls of a day leave the database: they are in the archive by then. A month
# that is not closed yet must be among them.
USAGE_RAW_DAYS = env_int("USAGE_RAW_DAYS", 62, minimum=35)
USAGE_ARCHIVE_BUCKET = env_str("USAGE_ARCHIVE_BUCKET", "usage-archive")
# years for which nobody can delete a statement's PDF from that bucket
STATEMENTS_KEPT_YEARS = env_int("STATEMENTS_KEPT_YEARS", 7, minimum=1)

# -- The prompt record -----------------------------------------------------------------------------
# where the key is that wraps the keys of prompts: a file for a deployment with neither Vault nor
# KMS, and then whoever reads that file and the database reads every prompt
PROMPT_KEYS = env_choice("PROMPT_KEYS", "file", SIGNERS)
PROMPT_KEY_FILE = env_str("PROMPT_KEY_FILE", "")  # 32 bytes in base64
PROMPT_KMS_KEY = env_str("PROMPT_KMS_KEY", "")
PROMPT_TRANSIT_KEY = env_str("PROMPT_TRANSIT_KEY", "prompt-record")
# hashes the names of members and cases; empty: made from SECRET_KEY. Whoever changes it can no
# longer find, hold or erase by name what was kept before.
PROMPT_SUBJECT_KEY = env_secret("PROMPT_SUBJECT_KEY", "")
PROMPTS_BUCKET = env_str("PROMPTS_BUCKET", "prompt-record")
# for how many days backups of the database are kept, which a receipt of an erasure says; 0: unknown
PROMPT_BACKUP_DAYS = env_int("PROMPT_BACKUP_DAYS", 0)

# -- ServiceNow ------------------------------------------------------------------------------------
# Changes that promotions wait for, and incidents. Empty: there is none, and the promotion policy
# says whether that is allowed.
SERVICENOW_URL = env_url("SERVICENOW_URL", "")
SERVICENOW_CLIENT_ID = env_str("SERVICENOW_CLIENT_ID", "quartermaster")
SERVICENOW_CLIENT_SECRET = env_secret("SERVICENOW_CLIENT_SECRET") if SERVICENOW_URL else ""
# between two looks at an open change; what was read counts for four of them, at least a minute
SERVICENOW_LOOK_SECONDS = env_int("SERVICENOW_LOOK_SECONDS", 30, minimum=1)
# the window that a new change proposes begins at once; 0: the change manager plans it
SERVICENOW_WINDOW_HOURS = env_int("SERVICENOW_WINDOW_HOURS", 72)
# sys_ids of that instance; empty: ServiceNow's own rules fill them
SERVICENOW_CHANGE_MODEL = env_str("SERVICENOW_CHANGE_MODEL", "")
SERVICENOW_ASSIGNMENT_GROUP = env_str("SERVICENOW_ASSIGNMENT_GROUP", "")
SERVICENOW_CI = env_str("SERVICENOW_CI", "")
SERVICENOW_CALLER = env_str("SERVICENOW_CALLER", "")
# fields of a change that a template or a rule of that instance fills instead of us
SERVICENOW_IGNORED_FIELDS = env_names("SERVICENOW_IGNORED_FIELDS")
# how that instance calls an incident that ended by itself
SERVICENOW_INCIDENT_CLOSE_CODE = env_str("SERVICENOW_INCIDENT_CLOSE_CODE", "Solved (Permanently)")
# nothing of an incident was seen for so long: it is over
INCIDENT_QUIET_SECONDS = env_int("INCIDENT_QUIET_SECONDS", 600)

# -- Notices: e-mail and webhooks ------------------------------------------------------------------
# smtp://user:password@host:587 (with STARTTLS where ?tls=start), smtps://…:465; empty: no e-mail
_mail = env_mail("MAIL_URL")
EMAIL_HOST, EMAIL_PORT = _mail.host, _mail.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.user, _mail.password
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.is_ssl, _mail.is_start_tls
EMAIL_TIMEOUT = 10  # seconds
DEFAULT_FROM_EMAIL = formataddr(env_sender("MAIL_FROM", _OURS))
# when the day's digest goes out
DIGEST_HOUR = int(env_choice("DIGEST_HOUR", "7", [str(hour) for hour in range(24)]))
DIGEST_ZONE = env_zone("DIGEST_ZONE", "UTC")
# for how many days a notice is kept, with its e-mails and calls
NOTICE_DAYS = env_int("NOTICE_DAYS", 400, minimum=30)
# hosts that people's webhooks may be at: names, or ".example.com" for all below; empty: none
WEBHOOK_HOSTS = env_names("WEBHOOK_HOSTS")
# addresses inside the network that they may have, as 10.20.0.0/16; every other one is refused
WEBHOOK_NETWORKS = env_networks("WEBHOOK_NETWORKS")
# of webhooks' secrets; empty: of SECRET_KEY, and they change with it
WEBHOOK_KEY = env_secret("WEBHOOK_KEY", "")

# -- Metrics ---------------------------------------------------------------------------------------
METRICS_INTERVAL_SECONDS = env_int("METRICS_INTERVAL_SECONDS", 15, minimum=5)
METRICS_RETENTION_DAYS = env_int("METRICS_RETENTION_DAYS", 14, minimum=1)
# ask AWS for the price list and the Spot history of the machines that there are
AWS_PRICES = env_bool("AWS_PRICES", False)
PROMETHEUS_URL = env_url("PROMETHEUS_URL", "")  # empty: engines and GPU exporters are scraped
PROMETHEUS_TOKEN = env_secret("PROMETHEUS_TOKEN", "")
# one exporter for all GPUs; empty: the exporter's pods, found by label
DCGM_URL = env_url("DCGM_URL", "")
DCGM_POD_LABELS = env_str("DCGM_POD_LABELS", "app.kubernetes.io/name=dcgm-exporter")
DCGM_PORT = env_int("DCGM_PORT", 9400, minimum=1)

# -- What the portal's own processes tell of themselves --------------------------------------------
# The base address of an endpoint that takes OTLP over HTTP, and the headers that it wants, as
# "name=value,name=value"; empty: nothing is sent.
OTEL_EXPORTER_OTLP_ENDPOINT = env_url("OTEL_EXPORTER_OTLP_ENDPOINT", "")
OTEL_EXPORTER_OTLP_HEADERS = env_secret("OTEL_EXPORTER_OTLP_HEADERS", "")
LOG_FORMAT = env_choice("LOG_FORMAT", "line", ("line", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "apps.common.request_ids.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"},
        "json": {"()": "apps.common.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["request_id"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"httpx": {"level": "WARNING"}, "botocore": {"level": "WARNING"}},
}
