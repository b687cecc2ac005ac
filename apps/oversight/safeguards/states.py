"""The live state of each safeguard: what the portal can see of it now, and what it cannot.

A state is a badge and a sentence. What the portal cannot see is said to be unknown, never to be
right. Settings of a local stack are named as what they are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count

from apps.accounts.models import User
from apps.accounts.recertification.models import RoleReview
from apps.audit.sealing.status import status
from apps.catalog.models import ModelVersion
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.integrations.clickhouse.client import Server
from apps.oversight.record.badges import anchored_badge, sealed_badge, verified_badge
from apps.oversight.safeguards.mapping import SAFEGUARDS, Safeguard
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Rollout
from apps.promotions.rollouts.drift import UNMEASURED

SIX_YEARS = 2190  # days; 45 CFR 164.316(b)(2)(i) keeps documentation so long
IDLE_AT_MOST = 3600  # seconds, after which a session without activity is long
CHECKED_WITHIN = timedelta(hours=36)  # each version is checked again once a day


@dataclass(frozen=True)
class State:
    """What can be seen of a safeguard now."""

    badge: Badge
    words: str


@dataclass(frozen=True)
class Line:
    """A safeguard with its state."""

    safeguard: Safeguard
    state: State


def lines(now: datetime) -> list[Line]:
    """Return every safeguard with its state. About fifteen queries."""
    return [Line(one, STATES[one.key](now)) for one in SAFEGUARDS]


def _access(now: datetime) -> State:
    active = User.objects.filter(is_active=True, acts_for=None)  # of people, not of pipelines
    without = active.annotate(roles_held=Count("role_bindings")).filter(roles_held=0).count()
    overdue = RoleReview.objects.overdue(now).count()
    accounts = counted(active.count(), "account")
    words = f"{accounts}, {without:,} without a role and so without access."
    if overdue:
        late = f"{counted(overdue, 'role')} should have been looked at by now."
        return State(Badge("bad", "", "Overdue"), f"{words} {late}")
    return State(Badge("ok", "", "In force"), f"{words} No look at a role is overdue.")


def _identity(now: datetime) -> State:
    accounts = User.objects.filter(acts_for=None).count()
    people = User.objects.values("person").distinct().count()
    words = f"{counted(accounts, 'account')} of {counted(people, 'person', 'people')}."
    return State(Badge("ok", "", "In force"), words)


def _logoff(now: datetime) -> State:
    idle, whole = settings.SESSION_IDLE_SECONDS, settings.SESSION_COOKIE_AGE
    words = f"After {idle // 60} minutes without activity, and after {whole // 3600} hours."
    if idle > IDLE_AT_MOST:
        return State(Badge("warn", "", "Long"), words)
    return State(Badge("ok", "", "In force"), words)


def _at_rest(now: datetime) -> State:
    return State(
        Badge("draft", "", "Not seen from here"),
        "How database, buckets and disks are encrypted cannot be seen from here: ask the platform.",
    )


def _audit(now: datetime) -> State:
    found = status(now=now)
    badges = [sealed_badge(found), anchored_badge(found), verified_badge(found)]
    words = [f"{found.size:,} entries. {'; '.join(badge.words for badge in badges)}."]
    days = settings.AUDIT_RETENTION_DAYS
    if days < SIX_YEARS:
        words.append(f"Checkpoints are locked for {counted(days, 'day')}, not for six years.")
        badges.append(Badge("warn", "", "Kept too short"))
    return State(_worst(badges), " ".join(words))


def _integrity(now: datetime) -> State:
    versions = ModelVersion.objects.verified()
    held = versions.filter(next_check_at__isnull=False, next_check_at__lt=now - CHECKED_WITHIN)
    drifted = Rollout.objects.filter(drifted_at__isnull=False, status=Rollout.Status.LIVE).count()
    quarantined = ModelVersion.objects.filter(status=ModelVersion.Status.QUARANTINED).count()
    live = Rollout.objects.live()
    unmeasured = live.filter(reason=UNMEASURED).count()
    words = (
        f"{counted(versions.count(), 'verified version')}, {quarantined:,} quarantined; "
        f"{counted(live.count(), 'version serves', 'versions serve')}."
    )
    if drifted:
        differ = counted(drifted, "version that serves differs", "versions that serve differ")
        late = f"{differ} from what was approved."
        return State(Badge("bad", "", "Differs"), f"{words} {late}")
    if overdue := held.count():
        late = f"{counted(overdue, 'version was', 'versions were')} not checked again lately."
        return State(Badge("warn", "", "Not checked lately"), f"{words} {late}")
    if unchecked := versions.filter(reason="WAITING").count():
        one = "version could not be checked: its page says why"
        several = "versions could not be checked: their pages say why"
        late = f"{counted(unchecked, one, several)}."
        return State(Badge("warn", "", "Could not be checked"), f"{words} {late}")
    if unmeasured:
        late = f"Of {unmeasured:,} nobody has measured what they loaded."
        return State(Badge("warn", "", "Not measured"), f"{words} {late}")
    return State(Badge("ok", "", "In force"), f"{words} None differs from what was approved.")


def _authentication(now: datetime) -> State:
    words = f"A decision needs a sign-in of the last {settings.STEP_UP_SECONDS // 60} minutes."
    if not settings.STEP_UP_ACR_VALUES:
        more = "By which method is left to the identity provider: STEP_UP_ACR_VALUES names none."
        return State(Badge("warn", "", "Method not named"), f"{words} {more}")
    methods = " or ".join(settings.STEP_UP_ACR_VALUES)
    return State(Badge("ok", "", "In force"), f"{words} It must be by {methods}.")


def _transmission(now: datetime) -> State:
    plain = _plain_addresses()
    encrypted = _database_is_encrypted()
    if encrypted is False:
        plain.append("DATABASE_URL")
    if plain:
        words = f"Not encrypted: {', '.join(plain)}."
        return State(Badge("bad", "", "Not encrypted"), words)
    if encrypted is None:
        return State(Badge("draft", "", "Not known"), "The database does not tell.")
    words = "Encrypted to all of them and to the database. How S3 and Git are reached is not seen."
    return State(Badge("ok", "", "In force"), words)


ADDRESSES = (
    "PORTAL_URL",
    "OIDC_ISSUER",
    "GATEWAY_URL",
    "SERVICENOW_URL",
    "SCALING_URL",
    "PROMETHEUS_URL",
    "REDIS_URL",
)
PLAIN = ("http://", "redis://")


def _plain_addresses() -> list[str]:
    """Return the names of the settings whose address is spoken to in plain text."""
    plain = [name for name in ADDRESSES if str(getattr(settings, name)).startswith(PLAIN)]
    if settings.USAGE_STORE_URL and not Server.of(settings.USAGE_STORE_URL).is_secure:
        plain.append("USAGE_STORE_URL")
    if settings.EMAIL_HOST and not (settings.EMAIL_USE_SSL or settings.EMAIL_USE_TLS):
        plain.append("MAIL_URL")
    return plain


def _database_is_encrypted() -> bool | None:
    """Tell whether this connection to the database is encrypted, on both sides of a pooler that
    may stand between; None where the database does not tell.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        row = cursor.fetchone()
    if not row:
        return None
    return bool(row[0]) and bool(connection.connection.pgconn.ssl_in_use)


def _emergency(now: datetime) -> State:
    waiting = Emergency.objects.pending().count()
    words = f"{counted(Emergency.objects.count(), 'emergency', 'emergencies')} so far"
    if overdue := Emergency.objects.overdue(now).count():
        late = f"{words}; {overdue:,} should have been reviewed by now."
        return State(Badge("bad", "", "Review overdue"), late)
    return State(Badge("ok", "", "In force"), f"{words}; {waiting:,} to be reviewed.")


def _worst(badges: list[Badge]) -> Badge:
    """Return one badge for several: in force where all are well, else the gravest of them."""
    order = ("bad", "warn", "draft")
    for tone in order:
        if found := next((badge for badge in badges if badge.tone == tone), None):
            return found
    return Badge("ok", "", "In force")


STATES: dict[str, Callable[[datetime], State]] = {
    "access": _access,
    "identity": _identity,
    "emergency": _emergency,
    "logoff": _logoff,
    "at_rest": _at_rest,
    "audit": _audit,
    "integrity": _integrity,
    "authentication": _authentication,
    "transmission": _transmission,
}
