"""Fan out over ten parts, four times; each family stays in one process."""

from worker import DataSet, parent


def main() -> None:
    for number in range(4):
        result = parent.run(DataSet(name=f"set-{number}", parts=10))
        assert len(result["processes"]) == 1
        print(f"set-{number}: sum {result['sum']}, all in process {result['processes'][0]}")


if __name__ == "__main__":
    main()
