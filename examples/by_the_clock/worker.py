"""A report that the clock starts: every morning, as the code says, and whenever somebody plans it."""

from pydantic import BaseModel

from limpet import Context, Limpet

limpet = Limpet()


class Region(BaseModel):
    name: str = "everywhere"


@limpet.task(
    name="report-by-the-clock",
    on_crons=["TZ=Europe/Berlin 0 7 * * *"],
    cron_input=Region(name="europe"),
    input_validator=Region,
)
def report(input: Region, ctx: Context) -> dict[str, str]:
    return {"report of": input.name}


worker = limpet.worker("by-the-clock", slots=5, workflows=[report])

if __name__ == "__main__":
    worker.start()
