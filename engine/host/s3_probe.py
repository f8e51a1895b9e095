"""Asks the configured S3 service for a sign of life. Run as a process of its own: prints one JSON object.

Names of hosts are looked up and proxies asked without any deadline of ours, which no thread could be freed from; a
process can be killed. It uses no credentials: a refusal in S3's own words is a sign of life too. What it prints holds
no secret.
"""

# pyright: basic, reportMissingTypeStubs=false
# (botocore, which boto3 is made of, brings no types)

from __future__ import annotations

import json
from typing import NotRequired, TypedDict
from urllib.parse import urlsplit

_WAIT_S = 1.2


class S3Report(TypedDict):
    """``endpoint`` has no user part and no query. ``error`` is the kind of failure, where nobody answered."""

    endpoint: NotRequired[str]
    error: NotRequired[str]


def probe() -> S3Report:
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    endpoint = ""
    try:
        config = Config(
            # With this none are even looked for, which may start programs and ask the network.
            signature_version=UNSIGNED,
            connect_timeout=_WAIT_S,
            read_timeout=_WAIT_S,
            retries={"total_max_attempts": 1},
        )
        client = Session().create_client("s3", config=config)
        endpoint = plain(client.meta.endpoint_url)
        client.list_buckets()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if not code.isalpha():  # S3 refuses with a word; a number is the status of another server, or of a proxy
            return {"endpoint": endpoint, "error": f"HTTP status {code}"}
    except (BotoCoreError, ValueError) as error:
        return {"endpoint": endpoint, "error": type(error).__name__}
    return {"endpoint": endpoint}


def plain(url: str) -> str:
    """Scheme, host and port only."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


if __name__ == "__main__":
    print(json.dumps(probe()))
