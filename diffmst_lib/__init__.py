"""Mixing style transfer: stems and a reference song in, console settings and a stereo mix out.

Audio is float32 in [-1, 1]: tracks (batch, num_tracks, num_samples), mixes (batch, 2, num_samples), a leading batch
axis may be left out. A folder is a box of Fig. 1, in the order of the chapters.
"""

import os

import lazy_loader as lazy

# Threads that wait busily make everything here several times slower as soon as another program wants a core, as on
# Colab. Has to be said before torch is loaded; a value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
