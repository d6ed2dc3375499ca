"""AWS's framing of a stream: messages with headers, a payload and two checksums.

total length (4) · length of the headers (4) · crc32 of these (4) · headers · payload · crc32 of all before (4)
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from .protocol import Fault

TYPE = "application/vnd.amazon.eventstream"
TEXT = 7
"""The kind of a header's value."""
FAULTS = {
    400: "ValidationException",
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    405: "ValidationException",
    413: "ValidationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message; headers of text."""
    named = b""
    for name, value in headers.items():
        key, text = name.encode(), value.encode()
        named += bytes([len(key)]) + key + bytes([TEXT]) + len(text).to_bytes(2, "big") + text
    prelude = (16 + len(named) + len(payload)).to_bytes(4, "big") + len(named).to_bytes(4, "big")
    head = prelude + zlib.crc32(prelude).to_bytes(4, "big") + named + payload
    return head + zlib.crc32(head).to_bytes(4, "big")


def event(kind: str, value: Any) -> bytes:
    """An event of a stream, its payload as JSON."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def chunk(value: Any) -> bytes:
    """A part of what a model answers, in the model's own JSON."""
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()})


def exception(fault: Fault) -> bytes:
    """The end of a stream in which something went wrong."""
    kind = name_of(fault)
    headers = {":exception-type": kind[0].lower() + kind[1:], ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps({"message": fault.message}).encode())


def unsaid(fault: Fault) -> Fault:
    """What is wrong as it is, for `exception` to frame."""
    return fault


def name_of(fault: Fault) -> str:
    """What AWS calls it."""
    return FAULTS.get(fault.status, "InternalServerException")
