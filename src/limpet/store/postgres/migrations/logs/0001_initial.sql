-- The logs of tasks, written and read by connections of their own: a flood of lines never delays a commit.
--
--   log_lines      what tasks wrote, in the order of arrival; a task is named by its outside id
--   log_days       the days that have partitions of it; day 0 always has one
--
-- Partitioned by the day in the task's id, so that a task's lines go with its day.

CREATE SEQUENCE limpet.log_line_number CACHE 1;

CREATE TABLE limpet.log_lines (
    day integer NOT NULL,
    number bigint NOT NULL DEFAULT nextval('limpet.log_line_number'),
    tenant_no integer NOT NULL,
    task_run_id text COLLATE "C" NOT NULL,
    retry_count integer NOT NULL,
    at bigint NOT NULL,
    level text COLLATE "C" NOT NULL,
    message text NOT NULL,
    metadata text NOT NULL
) PARTITION BY RANGE (day);

CREATE TABLE limpet.log_days (day integer PRIMARY KEY);

CREATE FUNCTION limpet.add_log_day_1(wanted integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO limpet.log_days (day) VALUES (wanted) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM limpet.add_part_1('log_lines', wanted, 'fillfactor = 100', ARRAY[
        'CREATE INDEX %1$s_by_task ON limpet.%1$I (tenant_no, task_run_id, at, number)']);
    RETURN true;
END $$;

SELECT limpet.add_log_day_1(0);
