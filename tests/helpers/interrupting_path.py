"""A file at which somebody presses Ctrl-C."""

import os
import threading
from pathlib import Path


class InterruptingPath(type(Path())):
    """A path that raises KeyboardInterrupt when a thread opens or looks at it, after `ready()` has become true."""

    ready = staticmethod(lambda: True)

    def __fspath__(self):
        if threading.current_thread() is not threading.main_thread():
            waiting = threading.Event()
            while not self.ready():
                waiting.wait(0.01)
            raise KeyboardInterrupt
        return super().__fspath__()

    def stat(self, **options):
        return os.stat(str(self), **options)
