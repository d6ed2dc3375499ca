"""The protocols by the modules that hold them, each as `PROTOCOL`."""

from __future__ import annotations

PROTOCOLS = (
    "harken.server.protocols.openai",
    "harken.server.protocols.azure",
    "harken.server.protocols.huggingface",
    "harken.server.protocols.cohere",
    "harken.server.protocols.bedrock",
    "harken.server.protocols.vertex",
    "harken.server.protocols.page",
)
