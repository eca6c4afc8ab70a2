-- Concurrency limits: the keys of a run, and how far it and its tasks have passed the gates. Both columns are empty for
-- most rows, so old rows need no change and the previous release goes on writing rows that fit.

ALTER TABLE runs ADD COLUMN limit_keys BLOB;
ALTER TABLE runs ADD COLUMN stage INTEGER;
ALTER TABLE tasks ADD COLUMN stage INTEGER;
