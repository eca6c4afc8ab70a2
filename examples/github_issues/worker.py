"""A worker that answers what happens in a repository: GitHub posts it, a webhook makes events of the posts."""

from pydantic import BaseModel

from limpet import Context, Limpet

limpet = Limpet()


class Issue(BaseModel):
    number: int
    title: str


class Opened(BaseModel):
    issue: Issue


@limpet.task(name="greet-reporter", on_events=["github:issues:opened"], input_validator=Opened)
def greet(input: Opened, ctx: Context) -> dict[str, str]:
    return {"said": f"thank you for #{input.issue.number}, {input.issue.title}"}


worker = limpet.worker("github-issues", slots=5, workflows=[greet])

if __name__ == "__main__":
    worker.start()
