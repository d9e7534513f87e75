"""Reads callbacks as JSON lines; for each writes what the Standard Webhooks library and the lines in docs/api.md say."""

import base64
import hashlib
import hmac
import json
import sys
from datetime import datetime, timezone

from standardwebhooks import Webhook, WebhookVerificationError

# The lines that merchants are told to use: the block of Python in docs/api.md, whose path is the first argument.
with open(sys.argv[1], encoding="utf-8") as document:
    SNIPPET = compile(document.read().split("```python\n")[1].split("```")[0], "docs/api.md", "exec")

for line in sys.stdin:
    call = json.loads(line)
    webhook = Webhook(call["secret"])
    headers = {f"webhook-{name}": call[name] for name in ("id", "timestamp", "signature")}
    try:
        webhook.verify(call["payload"], headers, json_parse=False)
        good = True
    except (WebhookVerificationError, ValueError):
        # A signature that is not base64 is a ValueError.
        good = False
    names = {
        "base64": base64,
        "hashlib": hashlib,
        "hmac": hmac,
        "secret": call["secret"],
        "webhook_id": call["id"],
        "webhook_timestamp": call["timestamp"],
        "webhook_signature": call["signature"],
        "path_and_query": call["payload"].removeprefix("GET "),
    }
    exec(SNIPPET, names)
    made = webhook.sign(call["id"], datetime.fromtimestamp(int(call["timestamp"]), tz=timezone.utc), call["payload"])
    print(json.dumps({"good": good, "documented": names["ok"], "signature": made}))
