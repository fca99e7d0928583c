"""The built site in a browser that may not leave this machine: nothing fails, asks outside or overflows."""

import functools
import http.server
import re
import threading
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from api import listing
from bs4 import BeautifulSoup
from build import build
from hanging import HANGS_MS
from layout import BOOK, address, chapters, pages

PAGES = [page.stem for page in pages()] + ["genindex", "search"]
PAGE_LIMIT_BYTES = 3_000_000
WIDE, NARROW = 1280, 400

each_page = pytest.mark.parametrize("name", PAGES)


@pytest.fixture(scope="session")
def site() -> Path:
    """Return the folder of the site, built if it is not up to date."""
    return build().parent


@pytest.fixture(scope="session")
def server(site):
    """Serve the site on this machine and return its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


class Visit:
    """A page open in the browser, with the complaints that came up while it loaded."""

    def __init__(self, chromium, server, name, width):
        self.outside, self.errors = [], []
        self.tab = chromium.new_page(viewport={"width": width, "height": 900})
        self.tab.set_default_timeout(HANGS_MS)
        self.tab.route("**/*", lambda route: self.guard(route, server))
        self.tab.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on(
            "response",
            lambda response: response.ok or self.errors.append(f"{response.status} {response.url}"),
        )
        self.tab.goto(f"{server}/{name}.html", wait_until="load")
        # Formulas and widgets are drawn after the load event; what they ask for must be seen as well.
        self.tab.wait_for_function(READY)
        self.tab.wait_for_load_state("networkidle")

    def guard(self, route, server):
        if route.request.url.startswith(f"{server}/"):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()


READY = """() => {
  const typeset = element => element.querySelector("mjx-container");
  const drawn = view => view.parentElement.querySelector(".widget-subarea")?.childElementCount;
  return [...document.querySelectorAll(".bd-article .math")].every(typeset)
    && [...document.querySelectorAll("script[type='application/vnd.jupyter.widget-view+json']")].every(drawn);
}"""

PLAY = """async (player, hangs_ms) => {
  const until = (condition, what) => new Promise((resolve, reject) => {
    const start = Date.now();
    const look = setInterval(() => {
      if (condition()) { clearInterval(look); resolve(); }
      else if (Date.now() - start > hangs_ms) { clearInterval(look); reject(new Error(what)); }
    }, 20);
  });
  player.muted = true;
  player.preload = "auto";
  await until(() => player.error || (player.readyState >= 1 && player.duration > 0), "it does not load");
  if (player.error) throw new Error(player.error.message);
  player.currentTime = 0;
  await player.play();
  await until(() => player.currentTime > 0.05 || player.ended, "it does not play");
  player.pause();
}"""

# MathJax shows a macro that it does not know in red.
BAD_FORMULAS = """() => [...document.querySelectorAll("[data-mml-node=merror], mjx-mtext[style*='color: red']")]
  .map(element => element.closest(".math").outerHTML.slice(0, 200))"""

TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const past = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > width + 1);
  return past.slice(0, 5).map(e => e.outerHTML.slice(0, 120)).concat("the page scrolls sideways");
}"""


@pytest.fixture
def visit(chromium, server):
    """Return a function that opens a page at a width."""
    visits = []

    def open_page(name, width=WIDE):
        visits.append(Visit(chromium, server, name, width))
        return visits[-1]

    yield open_page
    for opened in visits:
        opened.tab.close()


@each_page
def test_page_works_without_the_network(visit, name):
    page = visit(name)
    assert page.outside == []
    for player in page.tab.query_selector_all("audio"):
        player.evaluate(PLAY, HANGS_MS)
    assert (
        page.tab.evaluate("[...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)")
        == []
    )
    unnamed = "[...document.images].filter(i => !i.alt || i.alt.includes('_images/')).map(i => i.src)"
    assert page.tab.evaluate(unnamed) == [], "a picture without words for those who cannot see it"
    assert page.tab.evaluate(BAD_FORMULAS) == []
    assert page.tab.evaluate(TOO_WIDE) == []
    assert page.outside == [] and page.errors == []


@each_page
def test_page_fits_a_narrow_window(visit, name):
    assert visit(name, NARROW).tab.evaluate(TOO_WIDE) == []


def parsed(site: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{name}.html").read_text("utf-8"), "html.parser")


def test_site_has_these_pages_only(site):
    assert sorted(path.stem for path in site.glob("**/*.html") if "_static" not in path.parts) == sorted(
        PAGES
    )


@each_page
def test_page_is_light(site, name):
    images = {
        site / unquote(image["src"])
        for image in parsed(site, name).find_all("img")
        if "_images/" in image["src"]
    }
    total = sum(path.stat().st_size for path in {site / f"{name}.html", *images})
    assert total <= PAGE_LIMIT_BYTES, f"{name}.html and its images weigh {total / 1e6:.1f} MB"


@each_page
def test_page_loads_local_files_only(site, name):
    loads = parsed(site, name).select("[src], link[rel~=stylesheet], link[rel~=icon], link[rel~=preload]")
    addresses = [element.get("src") or element.get("href") for element in loads]
    assert [url for url in addresses if re.match(r"(https?:)?//", url)] == []
    missing = [
        url
        for url in addresses
        if not url.startswith("data:") and not (site / unquote(urlsplit(url).path)).is_file()
    ]
    assert missing == []


def test_every_name_of_the_library_is_explained(site):
    named = re.findall(r"auto(?:class|function):: ([\w.:]+)", listing())
    shown = {entry["id"]: entry.find_next_sibling("dd") for entry in parsed(site, "api").select("dt.sig[id]")}
    assert [name for name in named if not shown[name.replace("::", ".")].get_text(strip=True)] == []


def test_internal_links_resolve(site):
    soups = {name: parsed(site, name) for name in PAGES}
    anchors = {name: {element["id"] for element in soup.select("[id]")} for name, soup in soups.items()}
    broken = []
    for name, soup in soups.items():
        for link in soup.select("a[href]"):
            url = urlsplit(urljoin(f"{name}.html", link["href"]))
            if url.scheme or link["href"] in ("#", ""):
                continue
            target = Path(unquote(url.path))
            if not (site / target).is_file() or (
                url.fragment and unquote(url.fragment) not in anchors[target.stem]
            ):
                broken.append(f"{name}.html: {link['href']}")
    assert broken == []


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.stem)
def test_chapter_has_a_colab_button(site, chapter):
    notebook = f"book/{chapter.stem}.ipynb"
    assert (BOOK.parent / notebook).is_file()
    colab = address().replace("https://github.com", "https://colab.research.google.com/github")
    links = {
        link["href"]
        for link in parsed(site, chapter.stem).select("a[href^='https://colab.research.google.com']")
    }
    assert f"{colab}/blob/main/{notebook}" in links


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_page_has_repository_buttons(site, page):
    links = {link["href"] for link in parsed(site, page.stem).select(f"a[href^='{address()}']")}
    assert {address(), f"{address()}/edit/main/book/{page.name}"} <= links
    assert any(link.startswith(f"{address()}/issues/new") for link in links)
