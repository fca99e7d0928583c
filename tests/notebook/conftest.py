"""Pages in a browser, for the tests of what a notebook shows."""

import re

import pytest
from desk_page import SECURE
from hanging import HANGS_MS

from diffmst_lib.notebook.desk.desk import SCRIPT


@pytest.fixture
def visit(chromium):
    """Open a desk on a page; at the end nothing may have failed or gone elsewhere."""
    complaints, tabs = [], []

    def open_page(*shown, address=SECURE, width=1280, before="", **files):
        body = "".join(item._repr_html_() for item in shown)
        page = f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body>{before}{body}'
        answers = {"/": (page, "text/html"), "/desk.js": (SCRIPT, "text/javascript")}
        answers |= {f"/{name}": (data, "application/octet-stream") for name, data in files.items()}

        def answer(route):
            body, mime = answers.get(route.request.url.removeprefix(address), (None, None))
            if body is None:
                complaints.append(f"asked for {route.request.url}")
                return route.abort()
            return route.fulfill(body=body, content_type=mime)

        tab = chromium.new_page(viewport={"width": width, "height": 900})
        tab.set_default_timeout(HANGS_MS)
        tabs.append(tab)
        tab.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.route(re.compile("^(?!data:|blob:)"), answer)
        tab.goto(f"{address}/")
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert complaints == []
