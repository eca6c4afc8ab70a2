-- Leases, servers and their commit connections. Only the clock of the database decides, and only `clock_timestamp()`.

-- name: fences
-- Who may write, and how often was written, by group.
SELECT group_no, epoch, seq FROM limpet.leases WHERE shard_no = 0 ORDER BY group_no;

-- name: claim
-- Become the owner of every group.
SELECT group_no, epoch, seq FROM limpet.claim_1(:server, :address, :lease_us);

-- name: renew
-- Prolong leases without a commit.
SELECT limpet.renew_1(:fences, :lease_us);

-- name: release
-- Give leases up, those that still have their epoch.
UPDATE limpet.leases AS l SET released = true FROM unnest(:fences::limpet.fence_1[]) AS f
WHERE l.group_no = f.group_no AND l.shard_no = 0 AND l.epoch = f.epoch AND limpet.is_mine_1(l.owner_id);

-- name: holder
-- The server whose lease runs.
SELECT owner_id, address FROM limpet.leases
WHERE shard_no = 0 AND NOT released AND expires_at > clock_timestamp() ORDER BY expires_at DESC, group_no LIMIT 1;

-- name: servers
-- All servers on the list, and whether each has a commit connection now.
SELECT s.id, s.address, (extract(epoch FROM s.started_at) * 1000000)::bigint, s.release, EXISTS (
    SELECT FROM limpet.backends AS b JOIN pg_catalog.pg_stat_activity AS a
    ON a.pid = b.pid AND a.backend_start = b.started_at WHERE b.server_id = s.id)
FROM limpet.servers AS s ORDER BY s.started_at, s.id;

-- name: leases
-- All leases; the time that is left is in microseconds.
SELECT l.group_no, l.owner_id, l.address, l.epoch, l.seq,
    CASE WHEN isfinite(l.expires_at) THEN (extract(epoch FROM l.expires_at - clock_timestamp()) * 1000000)::bigint END,
    l.released, (SELECT count(*) FROM limpet.tenants AS t WHERE t.group_no = l.group_no)
FROM limpet.leases AS l WHERE l.shard_no = 0 ORDER BY l.group_no;

-- name: forget_servers
-- Servers other than this one that have no connection and no lease; and connections that are gone.
WITH gone AS (
    DELETE FROM limpet.backends AS b WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = b.pid AND a.backend_start = b.started_at)
)
DELETE FROM limpet.servers AS s
WHERE s.id <> :server
    AND NOT EXISTS (SELECT FROM limpet.leases AS l WHERE l.owner_id = s.id AND NOT l.released)
    AND NOT EXISTS (
        SELECT FROM limpet.backends AS b JOIN pg_catalog.pg_stat_activity AS a
        ON a.pid = b.pid AND a.backend_start = b.started_at WHERE b.server_id = s.id);

-- name: introduce_server
-- This server as it stands now.
INSERT INTO limpet.servers (id, address, started_at, release) VALUES (:server, :address, clock_timestamp(), :release)
ON CONFLICT (id) DO UPDATE SET address = excluded.address, started_at = excluded.started_at, release = excluded.release;

-- name: introduce_backend
-- The connection that says this is a commit connection of the server.
INSERT INTO limpet.backends (server_id, pid, started_at)
SELECT :server, pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()
ON CONFLICT DO NOTHING;

-- name: end_backends_in_the_way
-- End the commit connections of other servers that block the claim; which these are is settled before the first one is ended.
-- A pid alone may have a new owner, so its start counts.
WITH in_the_way AS MATERIALIZED (
    SELECT b.server_id, b.pid FROM limpet.backends AS b
    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid AND a.backend_start = b.started_at
    WHERE b.server_id <> :server AND b.pid = ANY (pg_blocking_pids(:claimer_pid))
)
SELECT server_id, pid FROM in_the_way WHERE pg_terminate_backend(pid);
