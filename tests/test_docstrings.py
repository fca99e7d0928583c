"""The examples in the docstrings run, and everything public has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import diffmst_lib

MODULES = [module.name for module in pkgutil.walk_packages(diffmst_lib.__path__, "diffmst_lib.")]
PUBLIC = {
    name: thing for name, thing in vars(diffmst_lib).items() if not name.startswith("_") and callable(thing)
}
WITH_EXAMPLE = [
    "ConsoleParams",
    "MixingConsole",
    "Multitrack",
    "audio_feature_loss",
    "check",
    "data_dir",
    "equal_loudness",
    "load_audio",
    "load_multitrack",
    "loudness",
    "mrstft_loss",
    "normalize_loudness",
    "optimize_mix",
    "param_table",
]


@pytest.mark.parametrize("name", ["diffmst_lib", *MODULES])
def test_examples_run(name):
    if name.endswith("_gpu"):
        pytest.importorskip("triton", reason="comes with torch for CUDA")
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it holds"
    assert doctest.testmod(module).failed == 0


def test_modules_are_found():
    assert {"diffmst_lib.audio.loading", "diffmst_lib.command.main", "diffmst_lib.notebook.desk.desk"} <= set(
        MODULES
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_public_things_have_a_docstring(name):
    assert inspect.getdoc(PUBLIC[name])
    members = vars(PUBLIC[name]).items() if inspect.isclass(PUBLIC[name]) else []
    for method, function in members:
        if not method.startswith("_") and (
            inspect.isfunction(function) or isinstance(function, (property, classmethod))
        ):
            assert inspect.getdoc(getattr(PUBLIC[name], method)), f"{name}.{method}"


EFFECTS = [
    "compressor",
    "db_to_gain",
    "eq_response",
    "eq_sections",
    "fft_convolve",
    "gain",
    "gain_computer",
    "pan_gains",
    "panner",
    "parametric_eq",
    "reverb",
    "scaled_samples",
]


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_have_an_example(name):
    assert ">>> " in getattr(diffmst_lib.effects, name).__doc__


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_main_things_have_an_example(name):
    assert ">>> " in PUBLIC[name].__doc__
