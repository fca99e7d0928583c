"""A listening test of noise, built once, and its page in a browser that may not ask anybody."""

import warnings

import pytest
from hanging import HANGS_MS
from listening_tests import keep_mixes

from diffmst_lib.evaluation.listening.building import build_page


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page: two songs, four mixes each, loops of 2 s."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the loops are short
        return build_page(keep_mixes(tmp_path_factory.mktemp("evaluation")), pages=2, title="Ears & <eyes>")


class Visit:
    """The page in one browser, and what it asked for and complained about."""

    def __init__(self, chromium, page, **options):
        self.asked, self.errors = [], []
        self.context = chromium.new_context(**options)
        self.page = page
        self.tab = self.new_tab()

    def new_tab(self):
        tab = self.context.new_page()
        tab.set_default_timeout(HANGS_MS)
        tab.on("request", lambda request: self.asked.append(request.url))
        tab.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        return tab

    def open(self):
        self.tab.goto(self.page.as_uri(), wait_until="load")
        return self.tab

    def kept(self):
        return self.tab.evaluate("JSON.parse(localStorage.getItem(PLACE))")

    def go_to(self, step):
        """Open a step as if the listener had come there."""
        self.tab.evaluate(
            "(step) => { sitting.kept.step = step; sitting.open(); sitting.keeper.save(); }", step
        )

    def rating(self, step=2):
        """Open a page with sliders, and wait for its sounds."""
        self.go_to(step)
        self.tab.wait_for_function("sitting.rating.ready")


@pytest.fixture
def visit(chromium, page):
    """visit(init="...", width=1200): the page, opened; `init` is run in it before its own scripts.

    strict=True leaves the page's own policy in force, which forbids it to ask anybody, and tests to wait for code.
    """
    visits = []

    def open_page(init="", width=1200, scheme="light", strict=False):
        visits.append(
            Visit(
                chromium,
                page,
                viewport={"width": width, "height": 850},
                color_scheme=scheme,
                bypass_csp=not strict,
            )
        )
        if init:
            visits[-1].context.add_init_script(init)
        visits[-1].open()
        return visits[-1]

    yield open_page
    for opened in visits:
        opened.context.close()
