"""Faults that change nothing anybody can see, by hand: module → fault (its key) → why."""

EQUIVALENT: dict[str, dict[str, str]] = {
    "apps/access/actions.py": {
        f"{name}: with transaction.atomic(): {made} → if True: {made}": (
            "the refusal takes back all that the action did"
        )
        for name, made in (
            ("submit_request", "request = AccessRequest.obje"),
            ("approve_request", "grant = Grant.objects.create"),
        )
    },
    "apps/access/budgets/queries.py": {
        **{
            f"of_grants: {fault}": "narrows what is read; what is not a grant's is not looked up"
            for fault in (
                "named().filter(unit=Unit.USD, team__in={grant.team_id for grant in asked},"
                " registered_model__in={grant.re → named().filter(unit=Unit.USD,"
                " registered_model__in={grant.re",
                "nt.team_id for grant in asked}, registered_model__in={grant.registered_model_id"
                " for grant in asked}) → nt.team_id for grant in asked})",
                "0, row.registered_model_id or 0), []).append(row) →"
                " 0, row.registered_model_id or 1), []).append(row)",
            )
        },
        "open_alerts: .objects.told_to(user).filter(told_at__gte=now - LONGEST_MONTH) →"
        " .objects.told_to(user).filter()": "narrows what is read; the month is looked at as well",
        "open_alerts: n is None or alert.threshold > known.threshold): highest[ale →"
        " n is None or alert.threshold >= known.threshold): highest[ale": (
            "a threshold is told once in a month"
        ),
    },
    "apps/chargeback/budgets/alerts.py": {
        f"_told: {fault}": "narrows what is read; each is looked up by all three"
        for fault in (
            " = BudgetAlert.objects.filter(series__in={left.budget.series for left in reached},"
            " month__in={_month(left, now) f →  = BudgetAlert.objects.filter("
            "month__in={_month(left, now) f",
            "et.series for left in reached}, month__in={_month(left, now) for left in reached}) →"
            " et.series for left in reached})",
        )
    },
    "apps/access/wishes.py": {
        f"{rule}: return '' → return None": "what is wrong with nothing is left out either way"
        for rule in ("_purpose", "_tokens", "_budget", "_last_day")
    },
    "apps/accounts/sessions.py": {
        "expiry: now - session.get(STARTED_AT, 0) > settings.SESSION_COOKIE_AG → "
        "now - session.get(STARTED_AT, 1) > settings.SESSION_COOKIE_AG": (
            "a session that has not begun was let go a line before"
        ),
        "note_activity: nd now - session.get(SEEN_AT, 0) >= min(NOTE_EVERY_SECONDS, s → "
        "nd now - session.get(SEEN_AT, 1) >= min(NOTE_EVERY_SECONDS, s": (
            "a session that has begun has been seen"
        ),
        "expiry: if now - session.get(SEEN_AT, 0) > settings.SESSION_IDLE_SECO → "
        "if now - session.get(SEEN_AT, 1) > settings.SESSION_IDLE_SECO": (
            "a session that has begun has been seen"
        ),
    },
    "apps/accounts/tokens.py": {
        "verify:  = dict(jwt.decode(token, keys, algorithms=ALGORITHMS).claims) → "
        " = dict(jwt.decode(token, keys).claims)": (
            "a token of another algorithm got no keys a line before"
        ),
    },
    "apps/catalog/content.py": {
        "Inspector.update: self._wanted = 8 + length → self._wanted = 16 + length": (
            "eight bytes more are kept, and never read"
        ),
    },
    "apps/common/filters.py": {
        f"YesOrNo.__init__: {before} → {after}": "a program's filter: no page shows these words"
        for before, after in (
            (
                "choices = (('true', 'Yes'), ('false', 'No'))",
                "choices = (('true', 'Yes_'), ('false', 'No'))",
            ),
            ("('true', 'Yes'), ('false', 'No'))", "('true', 'Yes'), ('false', 'No_'))"),
        )
    },
    "apps/common/ids.py": {
        "ordered_id: m = int.from_bytes(os.urandom(8), 'big') & (1 << 62) - 1 → "
        "m = int.from_bytes(os.urandom(16), 'big') & (1 << 62) - 1": (
            "62 bits are taken, however many there are"
        ),
    },
    "apps/common/leases.py": {
        "retry_at: ds=2 * 2 ** min(row.attempts, 10)), RETRY_CAP) → "
        "ds=2 * 2 ** min(row.attempts, 20)), RETRY_CAP)": (
            "it is five minutes from the eighth attempt on"
        ),
    },
    "apps/common/periods.py": {
        "next_month: return (month.replace(day=1) + 32 * DAY).replace(day=1) → "
        "return (month.replace(day=2) + 32 * DAY).replace(day=1)": (
            "32 days after the second are in the next month, too"
        ),
    },
    "apps/common/request_ids.py": {
        "module: [str] = ContextVar('request_id', default='') → "
        "[str] = ContextVar('request_id_', default='')": "a name for debuggers alone",
    },
    "apps/manifests/capacity.py": {
        "_check: if min(pool.gpus, pool.cpu or 0, pool.memory_gib or 0) < 0: r → "
        "if min(pool.gpus, pool.cpu or 1, pool.memory_gib or 0) < 0: r": "neither is below 0",
        "_check: .cpu or 0, pool.memory_gib or 0) < 0: raise BadCapacity('A li → "
        ".cpu or 0, pool.memory_gib or 1) < 0: raise BadCapacity('A li": "neither is below 0",
    },
    "apps/manifests/scaling.py": {
        "PreWarm.words: of the next day' if self.end < self.start else '' → "
        "of the next day' if self.end <= self.start else ''": (
            "hours that end as they begin are refused"
        ),
        "_hours: on = days_after if hours.end < hours.start else days → "
        "on = days_after if hours.end <= hours.start else days": (
            "hours that end as they begin are refused"
        ),
    },
    "apps/manifests/serving.py": {
        "service_accounts: st = s3_endpoint.split('://', 1)[-1].rstrip('/') → "
        "st = s3_endpoint.split('://', 2)[-1].rstrip('/')": "an address has one scheme",
        "service_accounts: .split('://', 1)[-1].rstrip('/') → "
        ".split('://', 1)[-1].rstrip('/_')": "no host ends in an underscore",
    },
    "apps/metering/access_log.py": {
        "_version: t(values, 'upstream_cluster', 255)) → t(values, 'upstream_cluster', 510))": (
            "a cluster of ours is three names of 63 characters at most"
        ),
    },
    "apps/metering/archive/parquet.py": {
        "module: yarrow.timestamp('us', tz='UTC'), pyarrow.string()) → "
        "yarrow.timestamp('us', tz='UTC_'), pyarrow.string())": (
            "Parquet keeps that a time is one of UTC, and no zone's name"
        ),
    },
    "apps/metering/actions.py": {
        "keep_apart: .doubt, detail=entry.problem[:300], received_at=now, received → "
        ".doubt, detail=entry.problem[:600], received_at=now, received": (
            "no problem is told in as many characters"
        ),
    },
    "apps/metering/follow.py": {
        "Follower._store: st_usage(entries=[], via='FILE', now=now, position=position) → "
        "st_usage(entries=[], via='FILE_', now=now, position=position)": (
            "no call is stored there, only the place"
        ),
        "module: CHUNK = 1024 * 1024 → CHUNK = 2048 * 1024": "only how much is read at a time",
        "module: CHUNK = 1024 * 1024 → CHUNK = 1024 * 2048": "only how much is read at a time",
        "Follower._open: if known and known.offset <= os.fstat(file.fileno()).st_si → "
        "if known and known.offset < os.fstat(file.fileno()).st_si": (
            "a file that was read to its end is read again, and nothing counts twice"
        ),
    },
    "apps/gitops/trouble.py": {
        "_refused: t.timestamp() if note.at else 0.0) → t.timestamp() if note.at else 1.0)": (
            "either is before every event that has a time"
        ),
    },
    "apps/metering/quarantine/actions.py": {
        "module: MOST_AT_ONCE = 2000 → MOST_AT_ONCE = 4000": "only how many at a time",
        "_replay_batch:  (again.doubt, again.problem[:300]) → "
        " (again.doubt, again.problem[:600])": ("no problem is told in as many characters"),
    },
    "apps/promotions/rollouts/records.py": {
        "record_accepted: commit.refresh_from_db(fields=['observed_at']) → "
        "commit.refresh_from_db()": "the rest of a commit's row is what it was",
    },
}
