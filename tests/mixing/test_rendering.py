"""A song through settings that are there already."""

import pytest
import torch

import diffmst_lib as dm
from diffmst_lib.console.automation import Automation
from diffmst_lib.mixing.rendering import render


@pytest.fixture(scope="module")
def mix(song, reference):
    return dm.DiffMST.from_pretrained("small").mix(song, reference, refine_steps=0)


def close(x, y):
    """To within rounding: -110 dB."""
    torch.testing.assert_close(x, y, rtol=0, atol=3e-6 * float(y.abs().max()))
    return True


def test_the_settings_of_a_mix_make_the_mix(mix, song):
    again = render(song, dm.ConsoleParams.from_json(mix.params.to_json()))
    assert close(again.audio, mix.audio)
    assert again.loudness_lufs == pytest.approx(mix.loudness_lufs, abs=0.01)
    assert again.params.to_json() == mix.params.to_json() and again.history is None and again.loss is None


def test_nothing_is_normalized_and_the_settings_stay_as_they_are(mix, song):
    edited = mix.params.clone()
    edited.master_bus["output_gain_db"] -= 6.0
    before = edited.to_json()
    again = render(song, edited)
    assert again.loudness_lufs == pytest.approx(mix.loudness_lufs - 6.0, abs=0.01)
    again.params.master_bus["output_gain_db"] = 0.0
    assert edited.to_json() == before


def test_strips_are_found_by_name_in_any_order(mix, song):
    other = mix.params.to_frame().index[:-2][::-1]
    rows = [mix.params.names.index(name) for name in other]
    turned = dm.ConsoleParams(
        mix.params.tracks[rows], mix.params.fx_bus_values, mix.params.master_bus_values, names=list(other)
    )
    again = render(song, turned)
    assert again.params.names == song.names and close(again.audio, mix.audio)


def test_sections(mix, song):
    soft = mix.params.clone()
    soft.track(song.names[0])["fader_db"] -= 20.0
    settings = Automation([0.0, 0.75], [mix.params, soft], ["a", "b"], fade_s=0.1)
    again = render(song, Automation.from_json(settings.to_json()))
    assert close(again.audio[:, :20_000], mix.audio[:, :20_000])
    assert not torch.allclose(again.audio[:, -20_000:], mix.audio[:, -20_000:], atol=1e-3)
    assert again.automation.consoles[1].to_json() == soft.to_json()
    assert again.params is again.automation.params
    assert close(again.remix().audio, again.audio)


def test_a_console_of_mono_channels(song):
    params = dm.ConsoleParams.neutral(song.as_channels()[0], preset="reference")
    again = render(song, params)
    assert again.params.preset == "reference" and again.audio.shape == song.audio.shape[1:]


def test_a_reference_is_compared_and_changes_nothing(mix, song, reference):
    again = render(song, mix.params, reference=reference)
    assert close(again.audio, mix.audio)
    assert again.loss["total"] == pytest.approx(mix.loss["total"], rel=1e-3)
    assert "reference" in str(again.report())


def test_settings_of_another_song_name_the_nearest_stem(mix, song):
    other = song.select(*song.names[:2])
    with pytest.raises(dm.InputError, match=rf"tracks\.{song.names[2]}: no such stem"):
        render(other, mix.params)
    with pytest.raises(dm.InputError, match=f"{song.names[2]} is missing"):
        render(song, dm.ConsoleParams.neutral(song.names[:2]))


def test_settings_of_another_rate(song):
    with pytest.raises(dm.InputError, match="the settings are for 48000 Hz, the song has 44100 Hz"):
        render(song, dm.ConsoleParams.neutral(song.names, sample_rate=48_000))


def test_a_mix_that_is_silent_costs_one_line(song):
    params = dm.ConsoleParams.neutral(song.names)
    for name in song.names:
        params.track(name)["fader_db"] = -60.0
    with pytest.raises(dm.InputError, match="the mix is silent") as caught:
        render(song, params)
    assert caught.value.about == "song"
