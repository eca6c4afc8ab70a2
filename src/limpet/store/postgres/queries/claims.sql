-- Idempotency keys that runs hold: what a step needs, what is purged.

-- name: claims_by_name
-- Who holds some keys, or held them until they expired.
SELECT key, tenant_no, name, run_id, expires_at FROM limpet.claims WHERE tenant_no = :tenant_no AND name = ANY (:names);

-- name: expired_claims
-- Some keys that have expired.
SELECT key FROM limpet.claims WHERE expires_at <= :before ORDER BY expires_at LIMIT :limit;

-- name: purge_claims
-- By key, if they are still the expired ones.
DELETE FROM limpet.claims WHERE key = ANY (:keys) AND expires_at <= :before RETURNING key;
