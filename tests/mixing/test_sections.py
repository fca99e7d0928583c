"""A console a section: nearer to its part of the record, as loud as before, no clicks, and no more than it must."""

from dataclasses import replace

import pytest
import torch

from diffmst_lib import (
    Automation,
    ConsoleParams,
    DiffMST,
    InputError,
    InputNote,
    MixingConsole,
    Multitrack,
    Section,
    loudness,
    optimize_mix,
)
from diffmst_lib.console.streaming import stream_mix
from diffmst_lib.mixing.baselines import equal_loudness
from diffmst_lib.mixing.optimize import fit_console
from diffmst_lib.mixing.references import check_reference
from diffmst_lib.mixing.sections import at_level_of, mix_sections, render_sections

pytestmark = pytest.mark.filterwarnings("ignore::diffmst_lib.InputNote")
RATE = 44100
PART_S = 5.5
MARKS = [(0.0, "verse"), (PART_S, "chorus")]


@pytest.fixture(scope="module")
def song(data):
    """A verse 8 dB down, its kick no more than what a decoder leaves of silence, and a chorus."""
    import diffmst_lib as dm

    whole = dm.load_multitrack(data / "multitracks" / "caesium").select(
        "kick", "bgvox_main", "minilogue_synth"
    )
    chorus = whole.excerpt(7, PART_S).audio
    verse = 0.4 * chorus
    verse[whole.names.index("kick")] *= 1e-6
    return Multitrack(whole.names, torch.cat([verse, chorus], dim=-1), RATE, "two parts")


@pytest.fixture(scope="module")
def record(data):
    """A record with a quiet part and a loud one of another sound."""
    import diffmst_lib as dm

    quiet, loud = (
        dm.normalize_loudness(dm.load_audio(data / "references" / f"{name}.ogg")[:, : 9 * RATE], lufs)
        for name, lufs in (("lets_go_fishin", -26.0), ("coherence", -12.0))
    )
    return torch.cat([quiet, loud], dim=-1)


@pytest.fixture(scope="module")
def one(song, record):
    """The mix with one console."""
    return optimize_mix(song, record, steps=6, fit_seconds=2)


@pytest.fixture(scope="module")
def mixed(one, record):
    measured = check_reference(record, sample_rate=RATE)

    def fit(part, of, common, held):
        return fit_console(part, of, common, one.console, steps=8, lock=held, fit_seconds=2)[0]

    return mix_sections(one, measured, MARKS, fit)


def parts(audio):
    return audio[:, : round(PART_S * RATE)], audio[:, round(PART_S * RATE) :]


def contrast_db(audio):
    verse, chorus = map(loudness, parts(audio))
    return chorus - verse


def test_each_section_comes_nearer_to_its_part_of_the_record(mixed):
    table = mixed.sections
    assert table["label"].tolist() == ["verse", "chorus"]
    assert table["follows"].tolist() == ["A 0-9 s", "B 9-18 s"]
    assert table["own_console"].any()
    assert (table["loss"] <= 1.05 * table["loss_one_console"]).all()
    assert table["loss"].sum() < 0.9 * table["loss_one_console"].sum()


def test_the_mix_is_at_its_level_and_its_sections_are_as_far_apart_as_before(song, one, mixed):
    assert mixed.loudness_lufs == pytest.approx(-16.0, abs=0.05)
    assert loudness(mixed.audio) == pytest.approx(-16.0, abs=0.05)
    assert contrast_db(mixed.audio) == pytest.approx(contrast_db(one.audio), abs=0.3)
    assert contrast_db(mixed.audio) > 0.5 * contrast_db(song.audio.sum(dim=0))


def test_sections_differ_only_in_what_an_engineer_rides(mixed):
    moving = mixed.automation
    gains = [
        name for name in moving.params.values("master_bus") if name.endswith("gain_db") and name[0] in "lph"
    ]
    master = {"threshold_db", "ratio", "makeup_gain_db", "width", "output_gain_db", *gains}
    ridden = {"track": {"fader_db", "send_db", *gains}, "fx_bus": set(), "master_bus": master}
    for section, row, knob in moving.changing():
        assert knob in ridden[section], (section, row, knob)
    assert "kick" not in [
        moving.params.names[row] for _, row, _ in moving.changing() if row is not None
    ]  # silent


def test_params_are_the_loudest_section_and_the_mix_is_what_they_make(mixed):
    assert mixed.automation.loudest == 1 and mixed.params is mixed.automation.params
    assert mixed.automation.labels == ["verse", "chorus"] and mixed.automation.starts_s == [0.0, PART_S]
    again = mixed.remix()
    torch.testing.assert_close(again.audio, mixed.audio, rtol=0, atol=1e-4)


def test_what_is_turned_by_hand_holds_in_all_sections(mixed):
    result = mixed.remix()
    result.params.track("bgvox_main")["fader_db"] = -60.0
    quiet = result.remix()
    levels = [console.track("bgvox_main")["fader_db"] for console in quiet.automation.consoles]
    assert levels[1] == -60.0 and levels[0] < -50.0
    assert quiet.loudness_lufs < result.loudness_lufs
    assert [console.track("bgvox_main")["fader_db"] for console in mixed.automation.consoles] != levels


def test_a_boundary_does_not_click():
    """A tone of 100 Hz has nothing above 2 kHz, unless something clicks."""
    tone = 0.2 * torch.sin(2 * torch.pi * 100 * torch.arange(2 * RATE) / RATE).expand(1, 2, -1)
    verse, chorus = (ConsoleParams.neutral(["bass"]) for _ in range(2))
    strip = {"fader_db": -9.0, "low_shelf_gain_db": 6.0, "peak_2_gain_db": -6.0, "send_db": -12.0}
    for knob, value in strip.items():
        chorus.track("bass")[knob] = value
    chorus.master_bus["threshold_db"], chorus.master_bus["ratio"] = -24.0, 2.0
    chorus.master_bus["width"], chorus.master_bus["output_gain_db"] = 0.5, 6.0
    for one in (verse, chorus):
        one.track("bass")["width"], one.track("bass")["pan"] = 1.0, 0.3
    moving, console = Automation([0.0, 1.0], [verse, chorus], ["A", "B"], fade_s=0.5), MixingConsole(RATE)

    def treble_db(audio):
        spectrum = torch.stft(
            audio.double(),
            2048,
            512,
            window=torch.blackman_window(2048, dtype=torch.float64),
            return_complex=True,
        )
        power = spectrum[:, 93:].abs().square().sum(dim=(0, 1))  # from 2 kHz, by frame
        whole = spectrum.abs().square().sum(dim=(0, 1)).max()
        return 10 * torch.log10(power[30:-30].max() / whole).item()

    faded = torch.cat(list(stream_mix(console, tone, moving)), dim=1)
    before, after = (console.render(tone, one, fx_bus=True) for one in (verse, chorus))
    cut = torch.cat([before[:, :RATE], after[:, RATE:]], dim=1)
    print(treble_db(cut), treble_db(faded))
    assert treble_db(faded) < -75
    assert treble_db(cut) > treble_db(faded) + 10  # what a switch between the two would do


def test_one_section_needs_no_second_console(song, record):
    with pytest.warns(InputNote, match="one section only"):
        result = optimize_mix(song.excerpt(PART_S, PART_S), record, steps=1, fit_seconds=1, sections="auto")
    assert result.automation is None and result.sections is None
    alike = [(0, "Verse 1"), (2, "verse 2")]
    with pytest.warns(InputNote, match="sections that are alike, Verse 1"):
        assert mix_sections(result, check_reference(record, sample_rate=RATE), alike, None) is result


def test_what_gains_nothing_keeps_the_songs_console(song, record):
    result, measured = equal_loudness(song), check_reference(record, sample_rate=RATE)
    with pytest.warns(InputNote, match="no section gains"):
        same = mix_sections(result, measured, MARKS, lambda part, of, common, held: common, fit_seconds=1)
    assert same.automation is None and not same.sections["own_console"].any()
    assert torch.equal(same.audio, result.audio)


def test_an_amount_of_nothing_changes_nothing(song, record):
    with pytest.warns(InputNote, match="no section gains"):
        result = optimize_mix(song, record, steps=2, fit_seconds=1, sections=MARKS, amount=0.0)
    assert result.automation is None


def test_sections_that_are_none_are_refused_before_anything_is_fitted(song, record):
    for mix in (optimize_mix, DiffMST("tiny").mix):
        with pytest.raises(InputError, match=r"sections: 99 s lies after the end of the song of 11.0 s"):
            mix(song, record, sections=[5, 99])


def test_locked_strips_stay_in_all_sections(song, record):
    result = optimize_mix(song, record, steps=6, fit_seconds=1, sections=MARKS, lock=["minilogue_synth"])
    rows = [row for _, row, _ in result.automation.changing()]
    assert song.names.index("minilogue_synth") not in rows


def test_sections_of_one_name_share_a_console(song, record):
    verse, chorus = (part for part in (song.audio[..., : 4 * RATE], song.audio[..., -4 * RATE :]))
    longer = replace(song, audio=torch.cat([verse, chorus, verse, chorus], dim=-1))
    marks = [
        Section(0, 4, "verse 1"),
        Section(4, 8, "chorus"),
        Section(8, 12, "verse 2"),
        Section(12, 16, "chorus"),
    ]
    moving = optimize_mix(longer, record, steps=4, fit_seconds=1, sections=marks).automation
    assert torch.equal(moving.consoles[0].tracks, moving.consoles[2].tracks)
    assert moving.labels == ["verse 1", "chorus", "verse 2", "chorus"]


def test_a_network_mixes_sections(song, record):
    torch.manual_seed(0)
    model = DiffMST("tiny")
    result = model.mix(song.select("kick", "bgvox_main"), record, sections=MARKS, keep=0)
    assert result.sections is not None and result.loudness_lufs == pytest.approx(-16.0, abs=0.05)
    assert (result.sections["loss"] <= 1.05 * result.sections["loss_one_console"]).all()


def test_a_proposal_comes_to_the_songs_trims_and_level(song):
    part, console = song.excerpt(PART_S, 2), equal_loudness(song).console
    common = equal_loudness(song).params
    found = common.clone()
    found.tracks[:, 0] += torch.tensor([6.0, 0.0, -6.0])  # trims
    brought = at_level_of(console, part, found, common)
    assert torch.equal(brought.tracks[:, 0], common.tracks[:, 0])
    faders = torch.stack([one.values("track")["fader_db"] for one in (brought, common)])
    moved = faders[0] - faders[1]
    torch.testing.assert_close(moved - moved[1], torch.tensor([6.0, 0.0, -6.0]), rtol=0, atol=1e-3)
    levels = [loudness(console.render(part.audio, one)) for one in (brought, common)]
    assert levels[0] == pytest.approx(levels[1], abs=0.2)


def test_a_song_rendered_with_the_same_console_twice_is_the_song(song):
    result = equal_loudness(song)
    moving = Automation([0.0, 3.0], [result.params, result.params.clone()], ["A", "B"])
    again = render_sections(result, moving, None)
    torch.testing.assert_close(again.audio, result.audio, rtol=0, atol=1e-5)
    assert again.loss is None and isinstance(again.params, ConsoleParams)
