"""Mixing style transfer: stems and a reference song in, console settings and a stereo mix out.

Audio is float32 in [-1, 1]: tracks (batch, num_tracks, num_samples), mixes (batch, 2, num_samples), a leading batch
axis may be left out. The modules follow the chapters of the book.
"""

import os

# Threads that wait busily make everything here several times slower as soon as another program wants a core, as on
# Colab. Has to be said before torch is loaded; a value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from . import bench, controller, data, effects, encoder, features, losses, params, plots, reference, training
from .audio import InputError, InputNote, Multitrack, data_dir, load_audio, load_multitrack, save_audio
from .baselines import equal_loudness, unity
from .check import check, checker
from .compare import Comparison, compare
from .config import ModelConfig
from .console import ConsoleOutput, MixingConsole
from .features import audio_features
from .levels import loudness, normalize_loudness, normalize_tracks
from .losses import audio_feature_loss, loss_table, mrstft_loss, mrstft_table
from .model import DiffMST
from .optimize import optimize_mix
from .params import ConsoleParams, ParamSpec, param_table
from .result import MixResult
from .widgets import desk, explore_bypass, explore_compressor, explore_equalizer, explore_pan, listen

__version__ = "0.1.0"

__all__ = [
    "Comparison", "ConsoleOutput", "ConsoleParams", "DiffMST", "InputError", "InputNote", "MixResult",
    "MixingConsole", "ModelConfig", "Multitrack", "ParamSpec", "audio_feature_loss", "audio_features", "bench",
    "check", "checker", "compare", "controller", "data", "data_dir", "desk", "effects", "encoder", "equal_loudness",
    "explore_bypass", "explore_compressor", "explore_equalizer", "explore_pan", "features", "listen", "load_audio",
    "load_multitrack", "loss_table", "losses", "loudness", "mrstft_loss", "mrstft_table", "normalize_loudness",
    "normalize_tracks", "optimize_mix", "param_table", "params", "plots", "reference", "save_audio", "training", "unity",
]
