"""A desk of a finished mix: its record and the plain sum beside it, and what is moved comes back."""

import pytest
import torch
from desk_page import STEM_BUFFERS, lossless, page_state
from widget_sounds import RATE, stems, tones

import diffmst_lib as dm
from diffmst_lib.console.automation import Automation
from diffmst_lib.mixing.result import render_mix


@pytest.fixture
def result():
    """2 s of a stereo stem and a mono one that is louder in the second half, with a record that is, too."""
    audio = stems(tones(2.0), tones(2.0, channels=1, first_hz=90))
    audio[1, :, :RATE] *= 0.1
    song = dm.Multitrack(["vox", "kick"], audio)
    params = dm.ConsoleParams.neutral(song.names)
    params.track("vox")["peak_2_gain_db"] = -6.0
    mix = render_mix(song, params)
    mix.reference = torch.cat([0.05 * tones(2.0, first_hz=330), 0.2 * tones(2.0, first_hz=440)], dim=1)
    return mix


def sections(result):
    quiet = result.params.clone()
    quiet.track("kick")["fader_db"] = -3.0
    return result.with_params(Automation([0.0, 1.0], [quiet, result.params], ["verse", "chorus"], loudest=1))


def test_it_opens_a_mix_with_its_knobs_and_its_record(result):
    desk = dm.desk(result, seconds=1.0)
    assert desk.params.to_json() == result.params.to_json()
    # Excerpts of both are their loudest parts, as loud as each other.
    torch.testing.assert_close(
        desk.mix(), dm.MixingConsole(RATE).render(result.song.audio[..., RATE:], result.params)
    )
    assert dm.loudness(desk.reference) == pytest.approx(dm.loudness(desk.mix()), abs=0.01)
    record = result.reference[:, 2 * RATE :]
    cosine = torch.nn.functional.cosine_similarity(
        desk.reference.flatten(), record[:, :RATE].flatten(), dim=0
    )
    assert cosine == pytest.approx(1, abs=1e-4)
    assert dm.desk(result, seconds=1.0, start_s=0.0).mix().square().mean() < desk.mix().square().mean()


def test_the_plain_sum_is_told_with_its_loudness(result):
    setup = dm.desk(result, seconds=1.0).setup
    assert setup["plain_sum"]["lufs"] == pytest.approx(
        dm.loudness(result.song.audio[..., RATE:].sum(dim=0)), abs=1e-6
    )
    desk = dm.desk(result, seconds=1.0)
    plain = desk.setup["plain_sum"]["gain"] * result.song.audio[..., RATE:].sum(dim=0)
    assert dm.loudness(plain) == pytest.approx(dm.loudness(desk.mix()), abs=0.01)
    assert "plain_sum" not in dm.desk(result.song).setup


def test_what_is_moved_comes_back(result):
    desk = dm.desk(result, seconds=1.0)
    assert desk.to_result() is result  # nothing was moved
    settings = dict(desk.settings)
    settings["tracks"] = settings["tracks"] | {"kick": settings["tracks"]["kick"] | {"pan": 0.25}}
    desk.set_state({"settings": settings})  # as the browser sends it
    moved = desk.to_result()
    assert moved.params.to_json() == desk.params.to_json() and moved.audio.shape == result.audio.shape
    assert moved.edits[["strip", "knob", "before", "after"]].values.tolist() == [["kick", "pan", 0.5, 0.25]]
    assert moved.undo().params.to_json() == result.params.to_json()
    assert torch.equal(moved.reference, result.reference)


def test_mute_solo_and_bypass_come_back_when_they_are_asked_for(result):
    desk = dm.desk(result, seconds=1.0)
    desk.muted, desk.bypassed = ["kick"], [("vox", "eq")]
    assert desk.to_result() is result
    moved = desk.to_result(switches=True)
    assert moved.params.track("kick")["fader_db"] == -60.0
    assert moved.params.track("vox")["peak_2_gain_db"] == 0.0
    part = dm.desk(moved, seconds=1.0, start_s=1.0).mix()
    desk = dm.desk(result, seconds=1.0, start_s=1.0)
    desk.muted, desk.bypassed = ["kick"], [("vox", "eq")]
    torch.testing.assert_close(part, desk.mix(), atol=1e-6, rtol=0)


def test_a_desk_of_a_song_gives_a_result_as_well(result):
    desk = dm.desk(result.song, reference=result.reference, seconds=1.0)
    mix = desk.to_result()
    assert dm.loudness(mix.audio) == pytest.approx(dm.loudness(result.song.audio.sum(dim=0)), abs=20)
    torch.testing.assert_close(
        mix.audio, dm.MixingConsole(RATE).render(result.song.audio, desk.params), atol=1e-6, rtol=0
    )
    assert torch.equal(mix.reference, result.reference) and mix.song is result.song


def test_of_sections_the_loudest_is_shown_and_all_are_moved(result):
    desk = dm.desk(sections(result), seconds=0.5)
    assert desk.params.to_json() == result.params.to_json()
    assert "2 sections" in desk.setup["remark"] and "'chorus'" in desk.setup["remark"]
    params = desk.params
    params.track("vox")["pan"] = 0.25
    desk.params = params
    moved = desk.to_result().automation
    assert [console.track("vox")["pan"] for console in moved.consoles] == [0.25, 0.25]
    assert [console.track("kick")["fader_db"] for console in moved.consoles] == [-3.0, 0.0]


def test_a_page_without_a_kernel_offers_three_sounds(result, visit):
    desk = dm.desk(sections(result), seconds=0.5)
    assert "audio" in page_state(desk)
    tab = visit(desk)
    for name in ("mix", "reference", "plain sum"):
        button = tab.get_by_role("button", name=f"Listen to the {name}", exact=True)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
    assert "2 sections" in tab.locator(".dm-remark").inner_text()
    song_alone = visit(dm.desk(result.song, seconds=0.5))
    assert song_alone.get_by_role("button", name="Listen to the plain sum").count() == 0


PLAY_PLAIN = (
    "async (setup) => {"
    + STEM_BUFFERS
    + """
  const { engineSetup, makeDsp } = await import("/desk.js");
  const buffers = stemBuffers(setup);
  const neutral = (specs) => Object.fromEntries(specs.map(({ name, neutral }) => [name, neutral]));
  const tracks = setup.strips.map(({ name }) => ({ ...setup.initial.tracks[name], on: 1 }));
  const options = engineSetup(setup, buffers, setup.strips.map(() => 1), setup.sample_rate);
  const values = { tracks, master_bus: setup.initial.master_bus };
  const engine = new (makeDsp().Engine)({ ...options, values, playing: true }, () => {});
  const [left, right] = [0, 1].map(() => new Float32Array(setup.num_samples));
  engine.receive(["listen", { plain: 1, plain_gain: 0.5 }]);
  engine.desk.play(0);
  engine.process(left, right);
  return [Array.from(left), Array.from(right)];
}"""
)


def test_the_plain_sum_plays_at_its_gain(result, visit):
    desk = dm.desk(result, seconds=0.4, start_s=1.0)
    tab = visit(desk, tracks=lossless(result.song.excerpt(1.0, 0.4)))
    played = torch.tensor(tab.evaluate(PLAY_PLAIN, desk.setup))
    plain = 0.5 * result.song.excerpt(1.0, 0.4).audio.sum(dim=0)
    late = slice(RATE // 5, None)  # the change from the mix glides
    torch.testing.assert_close(played[:, late], plain[:, late], atol=2e-3, rtol=0)
