"""The files of the page as they are sent: plain HTML, CSS and ES modules, nothing from elsewhere, nothing built.

The map of attention and the strip of tokens are those of `harken look`, whose scripts become one module here.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from string import Template

from ..draw.colours import RAMPS, ramp
from ..view.payload import script_safe
from .guard import FILES

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: what stands beside it, and no script or style of its own text. https://www.w3.org/TR/CSP3/"""
TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
LOOK = ("data.js", "strip.js", "heatmap.js", "maps.js")
EXPORTS = "data state unpacked make choice chance shade legend TEXT SHARES MODES Strip HeatMap LEAST kindShown labelsOf weightsOf readout"
"""What the page takes of them."""


def files() -> dict[str, tuple[bytes, dict[str, str]]]:
    """path -> (what is sent, its headers); paths that are not here do not exist."""
    own, view = resources.files("harken.server") / "page", resources.files("harken.view") / "assets"
    found = {f"{FILES}{each.name}": (each.name, each.read_text("utf-8")) for each in own.iterdir() if each.is_file()}
    page = found.pop(f"{FILES}index.html")[1]
    colours = script_safe({"ramps": {name: ramp(name).tobytes().hex() for name in RAMPS}})
    found["/"] = "index.html", Template(page).substitute(data=colours)
    found[f"{FILES}look.css"] = "look.css", (view / "look.css").read_text("utf-8")
    scripts = "\n".join((view / name).read_text("utf-8") for name in LOOK)
    shared = f'import {{ matchMedia }} from "./theme.js";\n{scripts}\nexport {{ {", ".join(EXPORTS.split())} }};\n'
    found[f"{FILES}look.js"] = "look.js", shared
    return {path: sent(name, text) for path, (name, text) in found.items()}


def sent(name: str, text: str) -> tuple[bytes, dict[str, str]]:
    """A file with its headers; a browser asks each time whether it has changed."""
    body = text.encode()
    return body, {
        "content-type": TYPES[name.rpartition(".")[2]],
        "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
