"""Encoders and controllers of one's own: a worked example through everything, and one line for what is none."""

import dataclasses
import json
import signal

import pytest
import torch
from audio_helpers import one_line
from torch import nn
from training_helpers import OPTIONS, interrupted, miniature, same, short, weights

import diffmst_lib as dm
from diffmst_lib import InputError
from diffmst_lib.network.encoder import Standardize
from diffmst_lib.network.own_networks import CONTROLLERS, ENCODERS
from diffmst_lib.training.loop import train
from diffmst_lib.training.stopping import Stopped

# Networks that were hardly trained do not come nearer, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:the mix is farther from its record")


class Octaves(nn.Module):
    """The worked example of an encoder: the levels of six octaves, a few dropped, through one layer."""

    def __init__(self, config, signals):
        super().__init__()
        self.standardize = Standardize([-40.0] * 6 * signals, [20.0] * 6 * signals)
        self.layer = nn.Sequential(nn.Dropout(0.2), nn.Linear(6 * signals, config.width))

    def statistics(self, x):
        power = torch.fft.rfft(x, n=2**15).abs().square()
        octaves = torch.stack([power[..., 2**k : 2 ** (k + 1)].mean(dim=-1) for k in range(8, 14)], dim=-1)
        return 10 * torch.log10(octaves.flatten(1) / 2**15 + 1e-9)

    def forward(self, x):
        return self.layer(self.standardize(self.statistics(x)))


class Alone(nn.Module):
    """The worked example of a controller: each stem for itself, by its evidence; the master by the features."""

    def __init__(self, config, style_size, evidence_size):
        super().__init__()
        self.console = config.console
        knobs = {section: len(dm.param_table(section, self.console)) for section in ("track", "master_bus")}
        self.strip = nn.Linear(evidence_size + config.width, knobs["track"])
        self.master = nn.Linear(style_size, knobs["master_bus"])

    def forward(self, tracks, mix, *, style, pans, evidence, mask):
        strips, fx_bus, master = dm.controller.start_console(pans, self.console)
        strips = strips + 0.1 * self.strip(torch.cat([evidence, tracks], dim=-1))
        return strips, fx_bus.expand(len(tracks), -1), master + 0.1 * self.master(style)


def brightness(x, sample_rate):
    return x.diff(dim=-1).square().mean(dim=(1, 2)) / (x.square().mean(dim=(1, 2)) + 1e-9)


@pytest.fixture(scope="module")
def config():
    dm.register_encoder("octaves", Octaves)
    dm.register_controller("alone_in_a_test", Alone)
    dm.register_feature("brightness_for_models", brightness, 1.0)
    return dataclasses.replace(
        dm.ModelConfig.preset("tiny"),
        encoder="octaves",
        controller="alone_in_a_test",
        features=["brightness_for_models"],
        name="tiny",
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return miniature(tmp_path_factory.mktemp("set"))


def test_an_own_network_from_training_to_a_whole_song(config, index, tmp_path, song, reference):
    own = short(model=config)
    whole = train(own, index, tmp_path / "whole", **OPTIONS)
    with pytest.raises(Stopped):
        train(interrupted(own, 4, signal.SIGTERM), index, tmp_path / "parts", **OPTIONS)
    resumed = train(own, index, tmp_path / "parts", resume=True, **OPTIONS)
    assert same(weights(resumed), weights(whole))
    model = dm.DiffMST.from_pretrained(tmp_path / "whole")
    assert model.config == config and config.features == ("brightness_for_models",)
    assert isinstance(model.track_encoder, Octaves) and isinstance(model.controller, Alone)
    torch.manual_seed(0)
    fresh = dm.DiffMST(config).controller.state_dict()
    assert any(not torch.equal(fresh[name], value) for name, value in model.controller.state_dict().items())
    again = dm.DiffMST.from_pretrained(model.save_pretrained(tmp_path / "again"))
    mix = again.mix(song, reference)
    assert dm.loudness(mix.audio) == pytest.approx(-16.0, abs=0.05)
    assert torch.equal(mix.audio, model.mix(song, reference).audio)
    with pytest.raises(ValueError, match="'alone_in_a_test' has no maps of attention"):
        model.attention(song, reference)


def test_constants_of_an_own_encoder_are_those_of_the_examples(config, noise):
    model = dm.DiffMST(config)
    assert model.track_encoder.standardize.mean[0] == -40.0
    model.standardize(noise(4, 2, 20_000), noise(3, 2, 20_000))
    for encoder, sounds in (
        (model.track_encoder, model.split_stems(noise(4, 2, 20_000))),
        (model.mix_encoder, model.split_views(noise(3, 2, 20_000))),
    ):
        assert torch.equal(encoder.standardize.mean, encoder.statistics(sounds).mean(dim=0))


@pytest.mark.parametrize(
    ("registry", "name", "known"),
    [(ENCODERS, "octaves", "cnn, statistics"), (CONTROLLERS, "alone_in_a_test", "transformer")],
)
def test_a_model_of_a_stranger_names_what_is_missing(config, tmp_path, monkeypatch, registry, name, known):
    folder = dm.DiffMST(config).save_pretrained(tmp_path)
    monkeypatch.delitem(registry.added, name)
    with pytest.raises(InputError) as caught:
        dm.DiffMST.from_pretrained(folder)
    assert one_line(caught, "config.json", f"registered as {name!r}", f"known: {known}", "import the module")
    with pytest.raises(InputError, match=r"no \w+ is registered as"):
        dataclasses.replace(config)


def test_a_file_never_imports(config, tmp_path):
    folder = dm.DiffMST(config).save_pretrained(tmp_path)
    data = json.loads((folder / "config.json").read_text())
    data["config"]["encoder"] = "antigravity.Encoder"
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"no encoder is registered as 'antigravity.Encoder'"):
        dm.DiffMST.from_pretrained(folder)


class Lifted(dm.DiffMST):
    """A subclass with a weight of its own, which moves every fader."""

    def __init__(self, config):
        super().__init__(config)
        self.lift = nn.Parameter(torch.zeros(()))

    def controller_logits(self, *arguments, **options):
        strips, *buses = super().controller_logits(*arguments, **options)
        strips[..., dm.controller.knob_index("fader_db")] += self.lift
        return [strips, *buses]


class Amounts(Lifted):
    def __init__(self, config, amount):
        super().__init__(config)


def test_a_subclass_comes_back_as_that_subclass(tmp_path, song, reference):
    model = Lifted(dm.ModelConfig.preset("tiny"))
    with torch.no_grad():
        model.lift.fill_(-0.5)
    again = Lifted.from_pretrained(model.save_pretrained(tmp_path))
    assert type(again) is Lifted and again.lift == -0.5
    mix = again.mix(song, reference)
    assert torch.equal(mix.audio, model.eval().mix(song, reference).audio)
    with pytest.raises(InputError, match=r"weights of another model \(has lift, which a DiffMST like this"):
        dm.DiffMST.from_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"config\.json: makes no model \(.* argument: 'amount'"):
        Amounts.from_pretrained(tmp_path)


# What is none


class Wrong(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, *inputs, **options):
        return self.answer(*inputs)


def logits(tracks, mix):
    sizes = [len(dm.param_table(section)) for section in ("track", "fx_bus", "master_bus")]
    return torch.zeros(*tracks.shape[:2], sizes[0]), *(torch.zeros(len(tracks), size) for size in sizes[1:])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: torch.zeros(len(x), 31), r"must give \(2, 32\) for \(2, 2, 44100\), got \(2, 31\)"),
        (lambda x: torch.zeros(1, 32), r"got \(1, 32\)"),
        (
            lambda x: torch.zeros(len(x), 32, dtype=torch.int64),
            "floating point that is finite, got torch.int64",
        ),
        (lambda x: torch.full((len(x), 32), torch.nan), "got NaN or infinity"),
        (lambda x: [1.0], "must give tensors"),
        (lambda x: x @ torch.zeros(3, 3), r"fails on noise \(2, 2, 44100\): .*"),
        (lambda x: x.flatten(1) @ torch.zeros(2 * 44100, 32), r"fails on noise \(2, 2, 88200\)"),
        (None, "must be a torch.nn.Module, not int"),
    ],
)
def test_an_encoder_that_does_not_work_is_found_when_it_is_built(monkeypatch, answer, message):
    build = (lambda config, signals: 5) if answer is None else (lambda config, signals: Wrong(answer))
    monkeypatch.setitem(ENCODERS.added, "wrong", build)
    with pytest.raises(InputError, match=message) as caught:
        dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset("tiny"), encoder="wrong"))
    assert one_line(caught, "the encoder 'wrong'")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda tracks, mix: logits(tracks, mix)[:2], r"must give \(2, 3, 29\), \(2, 25\), \(2, 26\)"),
        (lambda tracks, mix: logits(tracks[:, :1], mix), r"for \(2, 3, 32\), \(2, 2, 32\), got \(2, 1, 29\)"),
        (lambda tracks, mix: logits(tracks[:1], mix), r"got \(1, 3, 29\)"),
        (lambda tracks, mix: [z + torch.inf for z in logits(tracks, mix)], "got NaN or infinity"),
        (lambda tracks, mix: logits(tracks, mix)[0], "must give tensors"),
        (lambda tracks: None, r"fails on noise .* takes 1 positional argument"),
    ],
)
def test_a_controller_that_does_not_work_is_found_when_it_is_built(monkeypatch, answer, message):
    monkeypatch.setitem(CONTROLLERS.added, "wrong", lambda config, **sizes: Wrong(answer))
    with pytest.raises(InputError, match=message) as caught:
        dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset("tiny"), controller="wrong"))
    assert one_line(caught, "the controller 'wrong'")


def test_what_can_be_registered():
    dm.register_encoder("octaves", Octaves)  # again, as when a cell is run again
    for register, ours in ((dm.register_encoder, "cnn"), (dm.register_controller, "transformer")):
        with pytest.raises(InputError, match="is one of ours"):
            register(ours, lambda config, **sizes: nn.Identity())
        with pytest.raises(InputError, match=r"must be built by build\(config, "):
            register("unbuilt", lambda config: nn.Identity())
        with pytest.raises(InputError, match=r"must be given as what builds it, .*, not Identity"):
            register("unbuilt", nn.Identity())
    with pytest.raises(InputError, match="another encoder is registered as 'octaves'"):
        dm.register_encoder("octaves", lambda config, signals: nn.Identity())


def test_a_module_is_tried_in_use_and_stays_in_training(config):
    class Normed(Octaves):
        def __init__(self, config, signals):
            super().__init__(config, signals)
            self.norm = nn.BatchNorm1d(config.width)

        def forward(self, x):
            assert not self.norm.training
            return self.norm(super().forward(x))

    dm.register_encoder("normed", Normed)
    model = dm.DiffMST(dataclasses.replace(config, encoder="normed"))
    assert model.track_encoder.norm.training and model.track_encoder.norm.num_batches_tracked == 0
