-- serves: 0007
--
-- Addresses that take posts of other services as events:
--
--   webhooks  one row for each; the secret is encrypted under a key that the store never sees
--
-- A server of the release before goes on until it is replaced; it takes no posts.

CREATE TABLE limpet.webhooks (
    key bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    auth text COLLATE "C" NOT NULL,
    auth_settings bytea NOT NULL,
    secret bytea NOT NULL,
    created_at bigint NOT NULL,
    key_expression text COLLATE "C" NOT NULL,
    scope_expression text COLLATE "C",
    static_payload bytea NOT NULL,
    returns_event smallint NOT NULL,
    updated_at bigint NOT NULL,
    PRIMARY KEY (key)
);

CREATE UNIQUE INDEX webhooks_by_name ON limpet.webhooks (tenant_no, name);

CREATE TYPE limpet.webhook_1 AS (
    key bigint,
    id text,
    tenant_no integer,
    name text,
    source text,
    auth text,
    auth_settings bytea,
    secret bytea,
    created_at bigint,
    key_expression text,
    scope_expression text,
    static_payload bytea,
    returns_event smallint,
    updated_at bigint
);

-- The webhooks of a commit; called by the statement that calls `commit_2`, behind its fence. What is dropped goes first,
-- because a name may be taken again in the same commit.
CREATE FUNCTION limpet.commit_webhooks_1(webhooks_dropped bigint[], webhooks limpet.webhook_1[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM limpet.webhooks AS w WHERE w.key = ANY (webhooks_dropped);
    INSERT INTO limpet.webhooks SELECT * FROM unnest(commit_webhooks_1.webhooks)
    ON CONFLICT (key) DO UPDATE SET
        key_expression = excluded.key_expression, scope_expression = excluded.scope_expression,
        static_payload = excluded.static_payload, returns_event = excluded.returns_event, updated_at = excluded.updated_at;
END $$;
