"""Push three events, and print what the runs say that each of them started."""

from worker import limpet

ORDERS = (
    ("order:created", "eu", {"number": 1, "cents": 250_000}),
    ("order:created", "us", {"number": 2, "cents": 250_000}),
    ("order:changed", "eu", {"number": 1, "cents": 990}),
)


def main() -> None:
    for key, scope, payload in ORDERS:
        event = limpet.event.push(key, payload, scope=scope)
        runs = limpet.event.get(event.event_id).triggered_runs or []
        said = [limpet.runs.get_run_ref(run.workflow_run_id).result() for run in runs]
        print(f"{key} in {scope}:", "; ".join(sorted(task["said"] for result in said for task in result.values())))


if __name__ == "__main__":
    main()
