"""A Sphinx extension that drops Thebe's scripts, which Jupyter Book adds to every page.

We run no live kernels, and Sphinx writes the scripts twice, which is an error in the browser.
"""


def drop_thebe(app, pagename, templatename, context, doctree) -> None:
    """Remove Thebe from the scripts of one page."""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script}{script.attributes.get('body')}".lower()
    ]


def setup(app) -> dict:
    """Register with Sphinx."""
    app.connect("html-page-context", drop_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
