-- Idempotency keys that runs hold: what commits write, what a step needs, what is purged.

-- name: delete_claim
-- By key, if it is there.
DELETE FROM claims WHERE key = ?;

-- name: insert_claim
-- A key that a run holds from now on.
INSERT INTO claims (key, tenant_no, name, run_id, expires_at) VALUES (?, ?, ?, ?, ?);

-- name: claim_by_name
-- Who holds a key, or held it until it expired.
SELECT key, tenant_no, name, run_id, expires_at FROM claims WHERE tenant_no = ? AND name = ?;

-- name: expired_claims
-- Some keys that have expired.
SELECT key FROM claims INDEXED BY claims_by_time WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit;

-- name: purge_claim
-- By key, if it is still the expired one.
DELETE FROM claims WHERE key = ? AND expires_at <= ?;
