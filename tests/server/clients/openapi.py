"""schemathesis on the served OpenAPI document, 10,000 requests and more: python openapi.py ADDRESS [REQUESTS]."""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from importlib.metadata import version
from pathlib import Path

address, wanted = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
key = {"authorization": "Bearer secret"}
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def get(path: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(address + path, headers=key), timeout=60) as answer:
        return answer.read()


def requests() -> float:
    """Answered so far."""
    return sum(
        float(line.rsplit(" ", 1)[1]) for line in get("/metrics").decode().splitlines() if re.match(r"harken_requests_total\b", line)
    )


operations = sum(len(path) for path in json.loads(get("/openapi.json"))["paths"].values())
before, rounds = requests(), 0
with tempfile.TemporaryDirectory() as folder:
    while requests() - before < wanted:
        asked = {"checks": CHECKS, "max-examples": max(5, wanted // operations // 2), "seed": rounds, "phases": "examples,coverage,fuzzing"}
        asked |= {"header": "Authorization: Bearer secret", "request-timeout": 60, "suppress-health-check": "all"}
        command = [Path(sys.executable).parent / "schemathesis", "run", f"{address}/openapi.json", "--no-color"]
        command += [str(part) for name, value in asked.items() for part in (f"--{name}", value)]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout[-6000:] + done.stderr[-2000:])
        rounds += 1
    assert json.loads(get("/health"))["status"] == "ok"
print(version("schemathesis"), f"{requests() - before:.0f} requests, {operations} operations, {rounds} rounds")
