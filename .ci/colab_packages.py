"""Print what a `pip freeze` has of the library's dependencies, as NAME==VERSION: what Colab brings along.

Use: python .ci/colab_packages.py FREEZE PYPROJECT
"""

import re
import sys
import tomllib
from pathlib import Path


def plain(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(freeze: str, pyproject: str) -> list[str]:
    """NAME==VERSION of each dependency, frozen by number or by a wheel's address, without +cu126 and the like."""
    wanted = {
        plain(re.split(r"[<>=!~ ]", one)[0]) for one in tomllib.loads(pyproject)["project"]["dependencies"]
    }
    lines = []
    for line in freeze.splitlines():
        by_number = re.match(r"([\w.-]+)==([\w.]+)", line)
        by_wheel = re.match(r"([\w.-]+) @ .*/[\w.]+-([\w.]+?)(?:%2B[\w.]+)?-[^/]+\.whl", line)
        found = by_number or by_wheel
        if found and plain(found[1]) in wanted:
            lines.append(f"{plain(found[1])}=={found[2]}")
    return lines


if __name__ == "__main__":
    print(*packages(*(Path(name).read_text("utf-8") for name in sys.argv[1:])), sep="\n")
