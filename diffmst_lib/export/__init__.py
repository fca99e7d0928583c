"""Sessions for other programs: what a workstation needs of a mix, in several formats. Chapter: Mix your own song."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
