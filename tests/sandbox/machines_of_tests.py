"""What several tests do with instances: boot one that serves, wait until it does."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import Any

SERVE = """#!/bin/sh
cat >/srv/app.py <<'EOF'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Version", "{version}")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
EOF
setsid python3 /srv/app.py >/dev/null 2>&1 &
"""


def serving(version: str) -> str:
    """User data of an app that answers with its version on port 8080."""
    return SERVE.replace("{version}", version)


def boot(ec2: Any, image_id: str, user_data: str = "", **more: Any) -> dict[str, Any]:
    """Starts an instance and waits until it runs; returns it as DescribeInstances shows it."""
    made = ec2.run_instances(
        ImageId=image_id, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=user_data, **more
    )
    return wait_for_state(ec2, made["Instances"][0]["InstanceId"], "running")


def wait_for_state(ec2: Any, instance_id: str, state: str, seconds: float = 20) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        if found["State"]["Name"] == state:
            return found
        assert time.monotonic() < deadline, f"{instance_id} is {found['State']['Name']}, not {state}"
        time.sleep(0.05)


def wait_for_page(url: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.05)
