"""Encoders: size, shapes, what they hear and what they cannot, short clips, chunks."""

import pytest
import torch

from diffmst_lib.network.encoder import (
    SpectrogramEncoder,
    Standardize,
    StatisticsEncoder,
    fit_constants,
    log_mel,
    magnitude,
)

SMALL_CNN = {"channels": (4, 8, 8), "pools": ((4, 4), (4, 4), (4, 2)), "hop": 512}


@pytest.fixture
def cnn():
    """Untrained, but for the averages of batch norm: without them hardly anything reaches the end."""
    torch.manual_seed(0)
    encoder = SpectrogramEncoder(16, **SMALL_CNN).train()
    for _ in range(30):
        encoder(0.1 * torch.randn(4, 1) * torch.randn(4, 12_000))
    return encoder.eval()


def randomize_norms(module):
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2.0)


def test_the_papers_encoder_has_its_number_of_parameters_and_shortest_clip():
    with torch.device("meta"):
        encoder = SpectrogramEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == 76_526_400
    assert encoder.min_samples == 65_024


def test_cnn_is_what_the_layers_say(cnn, noise):
    randomize_norms(cnn)
    x = noise(2, 40_000)
    z = magnitude(x, 2048, 512)[:, None] ** 0.3
    for block in cnn.blocks:
        for conv, norm in ((block.conv1, block.norm1), (block.conv2, block.norm2)):
            z = torch.nn.functional.conv2d(z, conv.weight, padding=1)
            shape = (1, -1, 1, 1)
            z = (z - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-5).sqrt()
            z = z.clamp(min=0.0)
        z = torch.nn.functional.avg_pool2d(z, block.pool.kernel_size)
    z = z.mean(dim=2)
    want = (z.max(dim=-1).values + z.mean(dim=-1)) @ cnn.project.weight.T + cnn.project.bias
    torch.testing.assert_close(cnn(x), want, rtol=1e-4, atol=1e-5)


def test_magnitude_is_the_trusted_ones(noise):
    librosa = pytest.importorskip("librosa")
    x = noise(1, 9000)
    want = abs(librosa.stft(x[0].numpy(), n_fft=2048, hop_length=512, pad_mode="reflect"))
    torch.testing.assert_close(magnitude(x, 2048, 512)[0], torch.from_numpy(want), rtol=1e-4, atol=1e-4)


def test_log_mel_of_a_full_scale_sine_is_near_minus_6_db():
    t = torch.arange(44100) / 44100
    mel = log_mel(torch.sin(2 * torch.pi * 1000 * t)[None], bands=64)
    assert -9.0 < mel[..., 5:-5].amax() < -5.0


@pytest.mark.parametrize("samples", [1, 500, 1025, 20_000])
@pytest.mark.parametrize(
    "encoder", [lambda: SpectrogramEncoder(8, **SMALL_CNN), lambda: StatisticsEncoder(8, bands=32)]
)
def test_short_and_silent_clips_give_finite_embeddings(encoder, samples, noise):
    for x in (noise(2, samples), torch.zeros(2, samples), 100.0 * noise(2, samples)):
        x.requires_grad_()
        y = encoder()(x)
        y.square().sum().backward()
        assert y.shape == (2, 8) and torch.isfinite(y).all() and torch.isfinite(x.grad).all()


def test_short_clips_are_padded_with_silence(cnn, noise):
    x = noise(1, 5000)
    padded = torch.nn.functional.pad(x, (0, cnn.min_samples - 5000))
    assert torch.equal(cnn(x), cnn(padded))


def test_polarity_is_invisible_in_left_and_right_and_visible_in_mid_and_side(cnn, noise):
    voice, room = noise(2, 30_000)
    together = torch.stack(
        [voice + 0.2 * room, voice]
    )  # the voice, alone in the right channel, in one polarity
    against = torch.stack([voice + 0.2 * room, -voice])  # and in the other
    torch.testing.assert_close(cnn(together), cnn(against), rtol=0, atol=1e-6)
    mid_side = [torch.stack([x[0] + x[1], x[0] - x[1]]) for x in (together, against)]
    statistics = StatisticsEncoder(8, bands=32).statistics
    for encode in (cnn, statistics):
        mid, side = encode(mid_side[0])
        torch.testing.assert_close(encode(mid_side[1]), torch.stack([side, mid]), rtol=1e-3, atol=1e-3)
        assert (mid - side).abs().max() > 1e-2


@pytest.mark.parametrize("training", [True, False])
def test_chunks_save_memory(noise, training):
    """Of the activations of eight signals, those of two are kept at a time."""
    kept = {}
    for chunk in (None, 2):
        encoder, sizes = SpectrogramEncoder(8, chunk=chunk, **SMALL_CNN).train(training), []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            encoder(noise(8, 20_000))
        kept[chunk] = sum(sizes)
    assert kept[2] < kept[None] / 4


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_change_nothing_in_use(cnn, noise, chunk):
    x = noise(5, 30_000)
    want = cnn(x)
    cnn.chunk = chunk
    torch.testing.assert_close(cnn(x), want, rtol=1e-4, atol=1e-6)


def test_chunks_in_training_have_the_gradients_of_one_chunk_after_the_other(noise):
    x, results = noise(4, 20_000), []
    for chunk in (None, 2):
        torch.manual_seed(0)
        encoder = SpectrogramEncoder(8, chunk=chunk, **SMALL_CNN).train()
        parts = [encoder(part) for part in x.split(2)] if chunk is None else [encoder(x)]
        torch.cat(parts).square().sum().backward()
        averages = list(encoder.buffers())
        results.append(([p.grad for p in encoder.parameters()], averages))
    for ours, theirs in zip(*results, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_statistics_of_a_beating_tone_are_those_of_the_formula():
    """1 kHz, half a second at 0 dB and half at -20 dB: mean -10 dB under the loud part, deviation 10 dB."""
    t = torch.arange(2 * 44_100) / 44_100
    loud, whole = torch.sin(2 * torch.pi * 1000 * t), StatisticsEncoder(8, bands=32).statistics
    both = torch.cat([loud, 0.1 * loud])[None]
    steady, found = whole(loud[None])[0], whole(both)[0]
    band = int(steady[:32].argmax())
    torch.testing.assert_close(found[band], steady[band] - 10.0, rtol=0, atol=0.5)
    torch.testing.assert_close(found[32 + band], torch.tensor(10.0), rtol=0, atol=0.5)
    power_db = 10 * torch.log10(both.square().mean())
    torch.testing.assert_close(found[-3], power_db, rtol=0, atol=1e-3)
    torch.testing.assert_close(found[-2], -power_db, rtol=0, atol=1e-2)  # the peak is at 0 dB
    assert found[-1] == 1.0  # 20 dB down is not silence
    faint = whole(torch.cat([loud, 1e-4 * loud])[None])[0]
    assert 0.49 < faint[-1] < 0.53  # 80 dB down is


def test_untrained_statistics_are_standardized_about_right(data):
    from diffmst_lib import DiffMST, load_multitrack
    from diffmst_lib.audio.loudness import level_stems

    song, tiny = load_multitrack(data / "multitracks" / "rubidium"), DiffMST("tiny")
    stems, gains_db = level_stems(song.audio)
    encoder = tiny.track_encoder
    found = encoder.standardize(encoder.statistics(tiny.split_stems(stems[gains_db.isfinite()])))
    assert found.abs().mean() < 1.5 and (found.abs() == 5.0).float().mean() < 0.05


def test_a_stems_statistics_are_those_of_mid_then_of_side(noise):
    encoder, stems = StatisticsEncoder(8, bands=32, signals=2), noise(3, 2, 20_000)
    one = StatisticsEncoder(8, bands=32)
    want = torch.cat([one.statistics(stems[:, 0]), one.statistics(stems[:, 1])], dim=-1)
    assert torch.equal(encoder.statistics(stems), want)
    assert encoder(stems).shape == (3, 8)


def test_a_stem_passes_a_cnn_as_one_picture_of_two_channels(noise):
    torch.manual_seed(0)
    encoder = SpectrogramEncoder(8, signals=2, **SMALL_CNN).eval()
    stems = noise(3, 2, 30_000)
    both = encoder(stems)
    assert both.shape == (3, 8) and torch.isfinite(both).all()
    torch.testing.assert_close(encoder(stems[1:2])[0], both[1], rtol=1e-4, atol=1e-6)
    assert not torch.equal(encoder(stems * torch.tensor([1.0, 0.0])[:, None]), both)


def test_statistics_do_not_count_silence(noise):
    statistics = StatisticsEncoder(8, bands=32).statistics
    x = noise(1, 44_100)
    half = torch.cat([x, torch.zeros(1, 44_100)], dim=-1)
    whole, padded = statistics(x)[0], statistics(half)[0]
    torch.testing.assert_close(
        padded[:32], whole[:32], rtol=0, atol=2.0
    )  # the bands, with the frames at the edge
    assert 0.45 < padded[-1] < 0.55 < whole[-1] == 1.0
    torch.testing.assert_close(padded[-3], whole[-3] - 3.0, rtol=0, atol=0.1)  # the level does


def test_only_encoders_with_statistics_have_constants(noise):
    cnn, ours = SpectrogramEncoder(8, **SMALL_CNN), StatisticsEncoder(8, bands=32)
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    fit_constants(cnn, noise(3, 20_000))
    assert all(torch.equal(before[name], value) for name, value in cnn.state_dict().items())
    fit_constants(ours, noise(3, 20_000))
    assert torch.equal(ours.standardize.mean, ours.statistics(noise(3, 20_000)).mean(dim=0))


def test_standardize_learns_its_constants_and_keeps_within_bounds():
    x = torch.tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    standardize = Standardize([0.0, 0.0], [1.0, 2.0])
    standardize.fit(x)
    y = standardize(x)
    torch.testing.assert_close(y.mean(dim=0), torch.zeros(2))
    torch.testing.assert_close(y[:, 0].std(), torch.tensor(1.0))
    assert standardize.deviation[1] == 2.0  # it did not vary: nothing was learned
    assert standardize(torch.tensor([1e9, -1e9])).tolist() == [5.0, -5.0]
    for bad in (x[:1], x[0], torch.full((3, 2), torch.nan)):
        with pytest.raises(ValueError, match="two rows of finite numbers"):
            standardize.fit(bad)


@pytest.mark.parametrize(
    "options", [{"channels": (4,), "pools": ((2, 2), (2, 2))}, {"channels": (), "pools": ()}]
)
def test_blocks_must_have_channels_and_pools(options):
    with pytest.raises(ValueError, match="same number of blocks"):
        SpectrogramEncoder(8, **options)


def test_pooling_more_bins_than_there_are_is_refused():
    with pytest.raises(ValueError, match="leaves nothing"):
        SpectrogramEncoder(8, channels=(4,), pools=((2048, 1),))
