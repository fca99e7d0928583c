"""Measurements of time and memory for `diffmst bench`. Only ratios within one run can be compared.

Chapters: The console, Losses, The controller, Data, Training at scale.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
