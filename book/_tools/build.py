"""Build the static site from the executed chapters; print where it is."""

import shutil
import subprocess
import sys
from pathlib import Path

from execute import CACHE, execute_all, lock
from layout import ROOT, site_digest

HTML = ROOT / "_build" / "html"
BUILT_FROM = ROOT / "_build" / "site-digest"


class SiteError(Exception):
    """Why there is no site; its text is for the reader of a terminal."""


def executed_chapters() -> set[str]:
    """Return the keys of the chapters in the cache."""
    return {path.name for path in (CACHE / "executed").iterdir()}


def build() -> Path:
    """Return the site's first page, built anew if anything it depends on changed."""
    failed = execute_all()
    if failed:
        raise SiteError(f"no site: {', '.join(failed)} did not run through")
    with lock("site"):
        wanted = site_digest()
        if not BUILT_FROM.exists() or BUILT_FROM.read_text() != wanted:
            # From an empty folder: Sphinx does not notice that a page's outputs changed.
            shutil.rmtree(ROOT / "_build", ignore_errors=True)
            before = executed_chapters()
            jupyter_book()
            if executed_chapters() != before:
                raise SiteError("no site: the chapters changed while it was built; run it again")
            BUILT_FROM.write_text(wanted)
    return HTML / "index.html"


def jupyter_book() -> None:
    """Run Jupyter Book, where every warning is an error; show what it says only if it fails."""
    print("building the site", flush=True)
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "book", "--config", "_config.yml"]
    options = ["--path-output", ".", "-W", "-n", "--keep-going"]
    result = subprocess.run(
        [*command, *options], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode:
        raise SiteError(f"{result.stdout}\nno site: jupyter-book reported the warnings or errors above")


if __name__ == "__main__":
    try:
        print(build())
    except SiteError as error:
        sys.exit(str(error))
