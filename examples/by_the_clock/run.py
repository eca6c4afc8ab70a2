"""A cron that somebody makes for a moment, and one report that is planned and moved."""

import time
from datetime import UTC, datetime, timedelta

from worker import Region, limpet, report

from limpet import V1TaskStatus
from limpet.clients.rest.models import V1TaskSummary


def reports(metadata: dict[str, str], at_least: int) -> list[V1TaskSummary]:
    """The completed runs that carry the metadata, oldest first, once there are so many."""
    while True:
        rows = limpet.runs.list(additional_metadata=metadata, statuses=[V1TaskStatus.COMPLETED]).rows
        if len(rows) >= at_least:
            return rows[::-1]
        time.sleep(0.05)


def main() -> None:
    cron = report.create_cron("asia", "* * * * * *", Region(name="asia"))
    print("crons:", [row.cron for row in limpet.cron.list(workflow_name=report.name).rows])
    for row in reports({"hatchet__cron_name": "asia"}, at_least=2)[:2]:
        print(row.output, "because of", row.additional_metadata["hatchet__cron_expression"])
    limpet.cron.delete(cron.metadata.id)

    version = report.schedule(datetime.now(UTC) + timedelta(days=1), Region(name="africa"), additional_metadata={"who": "run.py"})
    planned = version.scheduled_workflows[0].id
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    limpet.scheduled.update(planned, soon)
    (row,) = reports({"who": "run.py"}, at_least=1)
    print(row.output, "not early" if row.metadata.created_at >= soon - timedelta(milliseconds=1) else "early")


if __name__ == "__main__":
    main()
