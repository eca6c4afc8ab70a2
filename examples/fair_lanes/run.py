"""Ada sends eight documents, then Bob two: his are read while hers wait, and nobody has two read at once."""

from itertools import pairwise

from worker import Document, read

SENT = [("ada", n) for n in range(8)] + [("bob", n) for n in range(2)]


def main() -> None:
    done = read.run_many([read.create_bulk_run_item(Document(customer=who, number=n)) for who, n in SENT])
    for customer in ("ada", "bob"):
        lane = sorted((one for one in done if one["customer"] == customer), key=lambda one: one["began"])
        apart = all(before["ended"] <= after["began"] for before, after in pairwise(lane))
        print(f"{customer}: {[one['number'] for one in lane]},", "one at a time" if apart else "several at once")
    print("the last one was", max(done, key=lambda one: one["ended"])["customer"])


if __name__ == "__main__":
    main()
