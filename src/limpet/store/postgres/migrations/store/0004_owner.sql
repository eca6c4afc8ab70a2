-- serves: 0003
--
-- The fence names the server too. A database that was set back gives an epoch a second time, and then the number of commits
-- alone would tell two servers apart. Each connection of a server says whose it is (`limpet_engine.server`, when it begins);
-- one that says nothing, of the release before or of a person at work, is held against the epoch and the number as ever.

CREATE FUNCTION limpet.is_mine_1(owner_id text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('limpet_engine.server', true), '') IN ('', coalesce(is_mine_1.owner_id, ''))
$$;

CREATE OR REPLACE FUNCTION limpet.raise_fences_1(fences limpet.fence_1[], lease_us bigint) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    raised integer;
BEGIN
    UPDATE limpet.leases AS l SET seq = f.seq, expires_at = clock_timestamp() + lease_us * interval '1 microsecond'
    FROM unnest(fences) AS f
    WHERE l.group_no = f.group_no AND l.shard_no = 0 AND l.epoch = f.epoch AND l.seq = f.seq - 1
        AND NOT l.released AND limpet.is_mine_1(l.owner_id);
    GET DIAGNOSTICS raised = ROW_COUNT;
    IF raised <> cardinality(fences) THEN
        RAISE EXCEPTION USING ERRCODE = 'LIM01', MESSAGE = coalesce((
            SELECT 'The store stands at ' || string_agg(
                format('commit %s of epoch %s in group %s%s%s', l.seq, l.epoch, l.group_no,
                    CASE WHEN l.released THEN ', which is given up' ELSE '' END,
                    CASE WHEN limpet.is_mine_1(l.owner_id) THEN '' ELSE ', which is of server ' || coalesce(l.owner_id, '?') END),
                '; ' ORDER BY l.group_no)
            FROM unnest(fences) AS f JOIN limpet.leases AS l ON l.group_no = f.group_no AND l.shard_no = 0
            WHERE l.epoch <> f.epoch OR l.seq <> f.seq OR l.released OR NOT limpet.is_mine_1(l.owner_id)),
            'The store has this commit already');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION limpet.renew_1(fences limpet.fence_1[], lease_us bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    renewed integer;
BEGIN
    UPDATE limpet.leases AS l SET expires_at = clock_timestamp() + lease_us * interval '1 microsecond'
    FROM unnest(fences) AS f
    WHERE l.group_no = f.group_no AND l.shard_no = 0 AND l.epoch = f.epoch AND NOT l.released AND limpet.is_mine_1(l.owner_id);
    GET DIAGNOSTICS renewed = ROW_COUNT;
    IF renewed <> cardinality(fences) THEN
        RAISE EXCEPTION USING ERRCODE = 'LIM01', MESSAGE = format(
            '%s of %s leases are not held any more', cardinality(fences) - renewed, cardinality(fences));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION limpet.hold_1(fences limpet.fence_1[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    held integer;
BEGIN
    PERFORM FROM limpet.leases AS l WHERE l.shard_no = 0 AND NOT l.released AND limpet.is_mine_1(l.owner_id)
        AND (l.group_no, l.epoch) IN (SELECT f.group_no, f.epoch FROM unnest(fences) AS f)
    ORDER BY l.group_no FOR SHARE OF l;
    GET DIAGNOSTICS held = ROW_COUNT;
    IF held <> cardinality(fences) OR held = 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'LIM01', MESSAGE = 'the leases are not held any more';
    END IF;
END $$;
