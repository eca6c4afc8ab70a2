"""Make the webhook, then post as GitHub would: signed, signed by somebody else, and the same post once more."""

import hashlib
import hmac
import json

import httpx
from worker import limpet

from limpet import V1WebhookHMACAlgorithm, V1WebhookHMACEncoding, V1WebhookSourceName
from limpet.clients.rest.models import V1WebhookHMACAuth

SECRET = "what you typed into the repository's settings"
ADDRESS = f"{limpet.config.server_url}/api/v1/stable/tenants/{limpet.tenant_id}/webhooks/repository"
ISSUE = {"action": "opened", "issue": {"number": 1, "title": "the door squeaks"}}


def post(body: dict[str, object], secret: str) -> httpx.Response:
    text = json.dumps(body).encode()
    signature = "sha256=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    headers = {"content-type": "application/json", "x-github-event": "issues", "x-hub-signature-256": signature}
    return httpx.post(ADDRESS, content=text, headers=headers)


def main() -> None:
    auth = V1WebhookHMACAuth(
        algorithm=V1WebhookHMACAlgorithm.SHA256,
        encoding=V1WebhookHMACEncoding.HEX,
        signature_header_name="X-Hub-Signature-256",
        signing_secret=SECRET,
    )
    key = "'github:' + headers['x-github-event'] + ':' + input.action"
    limpet.webhooks.create(V1WebhookSourceName.GITHUB, "repository", key, auth)
    try:
        event = post(ISSUE, SECRET).json()["event"]
        (run,) = event["triggeredRuns"]
        result = limpet.runs.get_run_ref(run["workflowRunId"]).result()
        print(event["key"], "->", result["greet-reporter"]["said"])
        print("signed by somebody else:", post(ISSUE, "a guess").status_code)
        print("the same post once more:", post(ISSUE, SECRET).status_code)
    finally:
        limpet.webhooks.delete("repository")


if __name__ == "__main__":
    main()
