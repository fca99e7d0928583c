"""Names of files for stems, whatever the stems are called. Chapter: Mix your own song."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

LONGEST = 150  # bytes of a name, of the 255 that file systems allow
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # files that Windows cannot have


def file_names(names: Sequence[str]) -> list[str]:
    """Make names of files from names of stems: allowed everywhere, and different even where case does not count.

    Args:
        names: The stems' names.

    Returns:
        A name for each, without an ending.

    Example:
        >>> file_names(["kick", "Kick", "vox/lead", ".."])
        ['kick', 'Kick_2', 'vox_lead', 'stem']
    """
    files: list[str] = []
    taken: set[str] = set()
    for name in names:
        whole = name.encode("utf-8", "replace").decode()  # half of a letter becomes "?"
        safe = _FORBIDDEN.sub("_", whole).encode()[:LONGEST].decode(errors="ignore")
        safe = safe.strip(" .") or "stem"
        if _DEVICES.match(safe):
            safe = f"_{safe}"
        file, number = safe, 1
        while (key := unicodedata.normalize("NFC", file).casefold()) in taken:
            number += 1
            file = f"{safe}_{number}"
        taken.add(key)
        files.append(file)
    return files
