"""Log lines, on connections of their own: a flood of lines never delays a commit (R10, D21).

Its last lines may be lost with the power, never its order: these sessions do not wait for the disk (`synchronous_commit`).
"""

from __future__ import annotations

from collections.abc import Sequence

from limpet.core.ids import TenantNo
from limpet.store.api import LOG_LINES_MAX, LogLine, LogQuery
from limpet.store.matching import contains_text
from limpet.store.postgres.days import day_of_id, homes
from limpet.store.postgres.lane import Lane
from limpet.store.postgres.texts import storable
from limpet.store.tables import INTEGER_MAX, INTEGER_MIN, is_storable

LINES_AT_ONCE = 1_000  # of a search: about 1 MB


class Logs:
    """Lines of tasks, appended and read."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def append(self, lines: Sequence[LogLine]) -> None:
        """All or none."""
        if not lines:
            return
        columns = [list(column) for column in zip(*map(_kept, lines), strict=True)]
        names = (*LogLine._fields, "days")
        days = [day_of_id(line.task_run_id) for line in lines]
        async with self._lane.link() as link:
            await link.rows("insert_log_lines", **dict(zip(names, (*columns, days), strict=True)))

    async def lines(self, tenant_no: TenantNo, query: LogQuery) -> Sequence[LogLine]:
        """At most `LOG_LINES_MAX`. A search reads on until it has found enough: what it means is said in `matching`."""
        limit = max(0, min(query.limit, LOG_LINES_MAX))
        if not limit or not is_storable(query.task_run_id):
            return []
        where = {
            "tenant_no": tenant_no,
            "task_run_id": query.task_run_id,
            "days": homes([day_of_id(query.task_run_id)]),
            "since": INTEGER_MIN if query.since is None else query.since,
            "until": INTEGER_MAX if query.until is None else query.until,
            "levels": None if query.levels is None else [level for level in query.levels if is_storable(level)],
            "retry_count": query.retry_count,
        }
        found: list[LogLine] = []
        async with self._lane.link() as link, link.reading():
            statement = link.sql.statement("log_lines_backward" if query.newest_first else "log_lines_forward")
            cursor = link.connection.cursor(statement.text, *statement.arguments(where), prefetch=min(limit, LINES_AT_ONCE))
            async for row in cursor:
                line = LogLine(*row)
                if query.search is None or contains_text(line.message, query.search):
                    found.append(line)
                    if len(found) == limit:
                        break
        return found


def _kept(line: LogLine) -> LogLine:
    return line._replace(level=storable(line.level), message=storable(line.message), metadata=storable(line.metadata))
