"""One turn of a gate's purse, as a function: what is settled, given back, reserved and extended, in
one transaction and one round trip.

Rows are locked in an order that is the same for everybody: reservations by id, settled calls by id,
new counters by key, counters by id. Nobody who holds a later one waits for an earlier one, so turns
wait for each other and never in a ring.

A call counts in every counter whose scope and window it lies in; the limits that it must pass come
from the gate. Settles come first, so that what they give back can be used by the same turn.
"""

from django.db import migrations

# how the rows of a gate's counters are told from dead ones soon enough: they change all the time
STORAGE = """
ALTER TABLE access_counter SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000);
ALTER TABLE access_budgetreservation SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 2000);
CREATE TRIGGER settled_call_summed_once BEFORE UPDATE ON access_settledcall
    FOR EACH ROW WHEN (OLD.summed_at IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a settled call is taken into the sum of its hour once');
CREATE TRIGGER budget_reservation_lease BEFORE UPDATE ON access_budgetreservation
    FOR EACH ROW WHEN (NEW.expires_at < OLD.expires_at)
    EXECUTE FUNCTION refused('the lease of a reservation is never cut short');
"""
STORAGE_BACK = """
DROP TRIGGER settled_call_summed_once ON access_settledcall;
DROP TRIGGER budget_reservation_lease ON access_budgetreservation;
"""
TURN = """
CREATE FUNCTION purse_turn(
    moment timestamptz, lease interval,
    -- what is to be reserved, in the order in which it came; minute: of the tokens of its minute
    r_id uuid[], r_at timestamptz[], r_cost_center text[], r_team text[], r_model text[],
    r_usd numeric[], r_tokens bigint[], r_minute bigint[],
    -- limits: of which of those calls (from 1), level 1 cost center, 2 team, 3 team and model
    l_call int[], l_kind text[], l_level int[], l_starts_at timestamptz[], l_most numeric[],
    -- what is settled; counts: false where it only gives back
    s_id uuid[], s_at timestamptz[], s_cost_center text[], s_team text[], s_model text[],
    s_usd numeric[], s_tokens bigint[], s_counts boolean[],
    -- what is given back if it has expired; whose lease goes on
    x_id uuid[], e_id uuid[]
) RETURNS TABLE (said text, call int, no int, taken numeric, id uuid)
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
    -- given back, and newly settled
    k_id uuid[]; k_at timestamptz[]; k_cost_center text[]; k_team text[]; k_model text[];
    k_usd numeric[]; k_tokens bigint[]; k_minute bigint[];
    u_id uuid[];
    -- the counters that are touched, in the order of their ids
    c_id bigint[]; c_ready boolean[]; c_taken numeric[]; c_reserved numeric[]; c_used numeric[];
    -- one for each call and counter that it counts in: what is given back first, then what is settled, then what is
    -- to be reserved; counter: its place among those
    m_op int[]; m_id bigint[]; m_counter int[]; m_kind text[]; m_level int[]; m_starts_at timestamptz[];
    double int[]; passed int[] := '{}';
    given int := 0; settled int := COALESCE(cardinality(s_id), 0); last int; last_limit int;
    p int := 1; first int; i int; j int; l int := 1; first_limit int; met int;
    usd numeric; tokens numeric; minute_tokens numeric; calls numeric; amount numeric; most numeric;
    is_short boolean; is_unready boolean; is_out boolean; limit_no int;
BEGIN
    -- whoever makes counters ready waits until no turn is under way that does not see them
    PERFORM pg_advisory_xact_lock_shared(7113, 1);

    IF cardinality(s_id) + cardinality(x_id) + cardinality(e_id) > 0 THEN
        SELECT array_agg(h.call_id), array_agg(h.reserved_at), array_agg(h.cost_center), array_agg(h.team),
            array_agg(h.model), array_agg(h.usd), array_agg(h.tokens), array_agg(h.minute_tokens)
        INTO k_id, k_at, k_cost_center, k_team, k_model, k_usd, k_tokens, k_minute
        FROM (
            SELECT b.* FROM access_budgetreservation b WHERE b.call_id = ANY (s_id || x_id || e_id)
            ORDER BY b.call_id FOR UPDATE
        ) h
        WHERE h.call_id = ANY (s_id) OR (h.call_id = ANY (x_id) AND h.expires_at <= moment);
        WITH fresh AS (
            INSERT INTO access_settledcall
                (call_id, occurred_at, settled_at, cost_center, team, model, usd, tokens)
            SELECT DISTINCT ON (s.id) s.id, s.at, moment, s.cost_center, s.team, s.model, s.usd, s.tokens
            FROM unnest(s_id, s_at, s_cost_center, s_team, s_model, s_usd, s_tokens, s_counts)
                s (id, at, cost_center, team, model, usd, tokens, counts)
            WHERE s.counts ORDER BY s.id
            ON CONFLICT (call_id) DO NOTHING RETURNING call_id
        ) SELECT array_agg(fresh.call_id) INTO u_id FROM fresh;
    END IF;

    -- every minute, and every team's calls of a model, has its counter before a call counts in it
    INSERT INTO access_counter (kind, cost_center, team, model, starts_at, ends_at, reserved, used, is_ready)
    SELECT w.kind, '', w.team, w.model, w.starts_at, w.ends_at, 0, 0, true
    FROM (
        SELECT DISTINCT 'MINUTE' AS kind, r.team, r.model, date_trunc('minute', r.at) AS starts_at,
            date_trunc('minute', r.at) + interval '1 minute' AS ends_at
        FROM unnest(r_at, r_team, r_model) r (at, team, model)
        UNION ALL
        SELECT DISTINCT 'CALLS', r.team, r.model, '1970-01-01 00:00Z'::timestamptz, '9000-01-01 00:00Z'::timestamptz
        FROM unnest(r_team, r_model) r (team, model)
    ) w
    WHERE NOT EXISTS (
        SELECT FROM access_counter c WHERE c.cost_center = '' AND c.team = w.team AND c.model = w.model
        AND c.kind = w.kind AND c.starts_at = w.starts_at
    )
    ORDER BY w.team, w.model, w.kind, w.starts_at
    ON CONFLICT DO NOTHING;

    given := COALESCE(cardinality(k_id), 0);
    SELECT array_agg(m.op), array_agg(m.id), array_agg(m.counter), array_agg(m.kind), array_agg(m.level),
        array_agg(m.starts_at)
    INTO m_op, m_id, m_counter, m_kind, m_level, m_starts_at
    FROM (
        SELECT o.op, c.id, dense_rank() OVER (ORDER BY c.id) AS counter, c.kind, scope.level, c.starts_at
        FROM (
            SELECT k.op, k.cost_center, k.team, k.model, k.at
            FROM unnest(k_cost_center, k_team, k_model, k_at) WITH ORDINALITY k (cost_center, team, model, at, op)
            UNION ALL SELECT given + s.op, s.cost_center, s.team, s.model, s.at
            FROM unnest(s_cost_center, s_team, s_model, s_at) WITH ORDINALITY s (cost_center, team, model, at, op)
            UNION ALL SELECT given + settled + r.op, r.cost_center, r.team, r.model, r.at
            FROM unnest(r_cost_center, r_team, r_model, r_at) WITH ORDINALITY r (cost_center, team, model, at, op)
        ) o
        CROSS JOIN LATERAL (VALUES (1, o.cost_center, '', ''), (2, '', o.team, ''), (3, '', o.team, o.model))
            scope (level, cost_center, team, model)
        JOIN access_counter c ON c.cost_center = scope.cost_center AND c.team = scope.team
            AND c.model = scope.model AND c.starts_at <= o.at AND c.ends_at > o.at
        WHERE scope.cost_center <> '' OR scope.team <> ''
        ORDER BY o.op, c.id
    ) m;
    SELECT array_agg(c.id), array_agg(c.is_ready), array_agg(c.reserved + c.used) INTO c_id, c_ready, c_taken
    FROM (SELECT a.* FROM access_counter a WHERE a.id = ANY (m_id) ORDER BY a.id FOR UPDATE) c;
    last := COALESCE(cardinality(m_op), 0);
    IF (SELECT max(m.counter) FROM unnest(m_counter) m (counter)) <> cardinality(c_id) THEN
        RAISE EXCEPTION 'a counter was forgotten meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    c_reserved := array_fill(0::numeric, ARRAY[COALESCE(cardinality(c_id), 0)]);
    c_used := c_reserved;

    FOR n IN 1 .. given + settled LOOP
        IF n <= given THEN
            usd := -COALESCE(k_usd[n], 0); tokens := -k_tokens[n]; minute_tokens := -k_minute[n]; calls := -1;
            is_out := false;
        ELSE
            j := n - given;
            usd := COALESCE(s_usd[j], 0); tokens := s_tokens[j]; minute_tokens := tokens; calls := 0;
            is_out := NOT COALESCE(s_id[j] = ANY (u_id), false);  -- it was counted before
            u_id := array_remove(u_id, s_id[j]);
        END IF;
        WHILE p <= last AND m_op[p] = n LOOP
            amount := CASE m_kind[p] WHEN 'USD' THEN usd WHEN 'TOKENS' THEN tokens WHEN 'MINUTE' THEN minute_tokens
                ELSE calls END;
            IF amount <> 0 AND NOT is_out THEN
                i := m_counter[p];
                c_taken[i] := c_taken[i] + amount;
                IF n <= given THEN
                    c_reserved[i] := c_reserved[i] + amount;
                ELSE
                    c_used[i] := c_used[i] + amount;
                END IF;
            END IF;
            p := p + 1;
        END LOOP;
    END LOOP;

    IF cardinality(r_id) > 0 THEN
        SELECT array_agg(DISTINCT r.n) INTO double
        FROM unnest(r_id) WITH ORDINALITY r (id, n)
        WHERE EXISTS (
                SELECT FROM access_budgetreservation b
                WHERE b.call_id = r.id AND NOT (b.call_id = ANY (COALESCE(k_id, '{}')))
            )
            OR EXISTS (SELECT FROM access_settledcall s WHERE s.call_id = r.id)
            OR EXISTS (
                SELECT FROM unnest(r_id) WITH ORDINALITY other (id, n) WHERE other.id = r.id AND other.n < r.n
            );
    END IF;
    last_limit := COALESCE(cardinality(l_call), 0);
    FOR n IN 1 .. COALESCE(cardinality(r_id), 0) LOOP
        first := p;
        is_short := false;
        is_unready := false;
        is_out := COALESCE(n = ANY (double), false);
        IF is_out THEN
            said := 'DOUBLE'; call := n; no := NULL; taken := NULL; id := NULL;
            RETURN NEXT;
        END IF;
        first_limit := l;
        met := 0;
        WHILE p <= last AND m_op[p] = given + settled + n LOOP
            i := m_counter[p];
            limit_no := NULL;
            l := first_limit;
            WHILE l <= last_limit AND l_call[l] = n LOOP
                IF l_kind[l] = m_kind[p] AND l_level[l] = m_level[p] AND l_starts_at[l] = m_starts_at[p] THEN
                    limit_no := l;
                    met := met + 1;
                END IF;
                l := l + 1;
            END LOOP;
            IF limit_no IS NOT NULL THEN
                is_unready := is_unready OR NOT c_ready[i];
                most := l_most[limit_no];
                amount := CASE m_kind[p] WHEN 'USD' THEN r_usd[n] WHEN 'TOKENS' THEN r_tokens[n]
                    WHEN 'MINUTE' THEN r_minute[n] ELSE 1 END;
                IF NOT is_out AND c_ready[i] AND (
                    CASE WHEN amount IS NULL THEN c_taken[i] >= most ELSE c_taken[i] + amount > most END
                ) THEN
                    said := 'SHORT'; call := n; no := limit_no; taken := c_taken[i]; id := NULL;
                    RETURN NEXT;
                    is_short := true;
                END IF;
            END IF;
            p := p + 1;
        END LOOP;
        -- past its limits also where it counts in no counter
        WHILE l <= last_limit AND l_call[l] = n LOOP
            l := l + 1;
        END LOOP;
        IF NOT is_out AND (is_unready OR met < l - first_limit) THEN
            said := 'UNREADY'; call := n; no := NULL; taken := NULL; id := NULL;
            RETURN NEXT;
            is_out := true;
        END IF;
        IF NOT is_short AND NOT is_out THEN
            passed := passed || n;
            FOR q IN first .. p - 1 LOOP
                i := m_counter[q];
                amount := CASE m_kind[q] WHEN 'USD' THEN r_usd[n] WHEN 'TOKENS' THEN r_tokens[n]
                    WHEN 'MINUTE' THEN r_minute[n] ELSE 1 END;
                IF amount <> 0 THEN
                    c_taken[i] := c_taken[i] + amount;
                    c_reserved[i] := c_reserved[i] + amount;
                END IF;
            END LOOP;
        END IF;
    END LOOP;

    UPDATE access_counter c SET reserved = c.reserved + d.reserved, used = c.used + d.used
    FROM unnest(c_id, c_reserved, c_used) d (id, reserved, used)
    WHERE c.id = d.id AND (d.reserved <> 0 OR d.used <> 0);
    IF k_id IS NOT NULL THEN
        DELETE FROM access_budgetreservation b WHERE b.call_id = ANY (k_id);
        RETURN QUERY SELECT 'RELEASED', NULL::int, NULL::int, NULL::numeric, k.id
            FROM unnest(k_id) k (id) WHERE k.id = ANY (x_id);
    END IF;
    INSERT INTO access_budgetreservation
        (call_id, cost_center, team, model, usd, tokens, minute_tokens, reserved_at, expires_at)
    SELECT r.id, r.cost_center, r.team, r.model, r.usd, r.tokens, r.minute, r.at, moment + lease
    FROM unnest(r_id, r_cost_center, r_team, r_model, r_usd, r_tokens, r_minute, r_at) WITH ORDINALITY
        r (id, cost_center, team, model, usd, tokens, minute, at, n)
    WHERE r.n = ANY (passed) ORDER BY r.id;
    IF cardinality(e_id) > 0 THEN
        UPDATE access_budgetreservation b SET expires_at = moment + lease
        WHERE b.call_id = ANY (e_id) AND b.expires_at < moment + lease;
    END IF;
END $$;
"""
TURN_BACK = """
DROP FUNCTION purse_turn(timestamptz, interval, uuid[], timestamptz[], text[], text[], text[], numeric[],
    bigint[], bigint[], int[], text[], int[], timestamptz[], numeric[], uuid[], timestamptz[], text[], text[], text[],
    numeric[], bigint[], boolean[], uuid[], uuid[]);
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0014_counters"), ("audit", "0005_guards")]
    operations = [
        migrations.RunSQL(STORAGE, STORAGE_BACK),
        migrations.RunSQL(TURN, TURN_BACK),
    ]
