-- The logs' own file, beside the store, with a writer of its own: a flood of lines never delays a commit.
--
--   log_lines      what tasks wrote, in the order of arrival; a task is named by its outside id

CREATE TABLE log_lines (
    number INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    task_run_id TEXT NOT NULL,
    retry_count INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT;

CREATE INDEX log_lines_by_task ON log_lines (tenant_no, task_run_id, at);
