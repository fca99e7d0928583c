from . import bench as bench, data as data, plots as plots, training as training
from .console import effects as effects, params as params, released as released
from .network import controller as controller, encoder as encoder
from .style import features as features, losses as losses
from .inputs import InputError as InputError, InputNote as InputNote
from .disk import data_dir as data_dir
from .audio.multitrack import Multitrack as Multitrack
from .audio.loading import load_audio as load_audio, load_multitrack as load_multitrack, save_audio as save_audio
from .mixing.baselines import equal_loudness as equal_loudness, unity as unity
from .notebook.exercises import check as check, checker as checker
from .notebook.sheet import Comparison as Comparison, compare as compare
from .network.config import ModelConfig as ModelConfig
from .console.mixing_console import ConsoleOutput as ConsoleOutput, MixingConsole as MixingConsole
from .style.features import audio_features as audio_features
from .audio.loudness import loudness as loudness, normalize_loudness as normalize_loudness, normalize_tracks as normalize_tracks
from .style.losses import audio_feature_loss as audio_feature_loss, loss_table as loss_table, mrstft_loss as mrstft_loss, mrstft_table as mrstft_table
from .model import DiffMST as DiffMST
from .mixing.optimize import optimize_mix as optimize_mix
from .console.params import ConsoleParams as ConsoleParams, ParamSpec as ParamSpec, param_table as param_table
from .mixing.result import MixResult as MixResult
from .notebook.desk.desk import desk as desk
from .notebook.explorers.effects import explore_bypass as explore_bypass, explore_compressor as explore_compressor, explore_equalizer as explore_equalizer, explore_pan as explore_pan
from .notebook.players.sounds import listen as listen

__version__: str
