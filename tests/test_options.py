"""The options of the command name what is there."""

from diffmst_lib import options
from diffmst_lib.network.config import PRESETS
from diffmst_lib.training.recipes import VARIANTS


def test_names_of_models_and_recipes():
    assert tuple(PRESETS) == options.MODELS
    assert tuple(VARIANTS) == options.RECIPES
