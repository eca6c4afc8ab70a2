"""Start ten sessions; each finds its own cache, on whichever worker it began."""

import asyncio

from worker import Document, session


async def main() -> None:
    results = await asyncio.gather(*(session.aio_run(Document(name=f"document-{n}")) for n in range(10)))
    for n, result in enumerate(results):
        assert result["load"]["process"] == result["ask"]["process"]
        print(f"document-{n}: process {result['ask']['process']}, sum {result['ask']['sum']}")


if __name__ == "__main__":
    asyncio.run(main())
