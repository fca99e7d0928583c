"""Stands in for the front end of a live notebook: asks a widget, and keeps what it answers."""


def front_end(widget, monkeypatch, *, asks):
    """Send a message to a widget; return the list of (message, buffers) that the widget sends from now on."""
    sent = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append((content, buffers)))
    widget._handle_custom_msg(asks, [])
    return sent
