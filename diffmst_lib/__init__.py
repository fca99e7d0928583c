"""Mixing style transfer: stems and a reference song in, console settings and a stereo mix out.

Audio is float32 in [-1, 1]: stems (batch, num_stems, 2, num_samples), mixes (batch, 2, num_samples). The
leading batch axis may be left out. A folder is a box of the paper's Fig. 1, in the order of the chapters.

Where the paper's equations are:

    Equation                                File                        Chapter
    1  P = g(f(T), f(M_r)), the settings    model.py                    The controller
    2  M_p = h(T, P), the mix               console/mixing_console.py   The console
    3  RMS                                  style/features.py           Audio features
    4  crest factor                         style/features.py           Audio features
    5  Bark spectrum                        style/features.py           Audio features
    6  stereo width                         style/features.py           Audio features
    7  stereo imbalance                     style/features.py           Audio features
    8  audio-feature loss                   style/losses.py             Losses
"""

import os

import lazy_loader as lazy

# Threads that wait busily make everything here several times slower as soon as another program wants a core,
# as on Colab. This must be set before torch is loaded. A value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.3.0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
