"""The desk's scripts, and the page that holds one without a kernel. Chapter: The console."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
STYLE = _HERE / "desk.css"
# Each part uses the parts before it.
_PARTS = (
    "dsp",
    "settings",
    "settings_box",
    "history",
    "player",
    "controls",
    "curves",
    "effects",
    "levels",
    "features",
    "analyst",
    "feature_panel",
    "desk",
    "static_page",
)
_SCRIPTS = {part: (_HERE / f"{part}.js").read_text("utf-8") for part in _PARTS}
SCRIPT = "\n".join(_SCRIPTS.values())  # the desk as one ES module


def static_page(state: dict[str, Any], stems: Sequence[str]) -> str:
    """Return the HTML of a desk on a page without a kernel: style, state with the audio, and script.

    Args:
        state: The desk's state, "audio" in base64 among it.
        stems: The names of its stems.

    Example:
        >>> page = static_page({"setup": {}, "audio": []}, ["kick"])
        >>> "A mixing desk for kick" in page, "class FeaturePanel" in page
        (True, False)
    """
    unused = () if "features" in state["setup"] else ("features", "feature_panel")
    script = "\n".join(text for part, text in _SCRIPTS.items() if part not in unused)
    script = re.sub(r"(?m)^ *(//.*\n)?", "", script)  # no indents and comments: a page holds several desks
    names = html.escape(", ".join(stems))
    return (
        f"<style>{STYLE.read_text('utf-8')}</style>"
        f'<div class="dm-desk" data-static>A mixing desk for {names}: it needs JavaScript.</div>'
        f'<script type="application/json">{json.dumps(state).replace("<", chr(92) + "u003c")}</script>'
        f'<script type="module">{script}\nrenderStatic();\n</script>'
    )
