"""Sound files of any kind for the tests of files and data sets."""

import io
import struct
from pathlib import Path

import av
import numpy as np
import soundfile
from scipy.signal import correlate

FORMATS = {
    ".wav": ("WAV", "PCM_24"),
    ".flac": ("FLAC", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
    ".aiff": ("AIFF", "PCM_16"),
}


def music(seconds=2.0, rate=44100, channels=2, level=0.1, seed=0, gap_s=None):
    """Float32 (channels, samples): tones that come and go, some noise; silent within `gap_s`."""
    rng, t = np.random.default_rng(seed), np.arange(round(seconds * rate)) / rate
    sound = np.stack(
        [
            np.sin(2 * np.pi * f * t) * (1 + np.sin(2 * np.pi * 1.5 * t)) / 2
            for f in rng.uniform(100, 0.2 * rate, channels)
        ]
    )
    sound = level * sound + 0.01 * level * rng.standard_normal(sound.shape)
    if gap_s:
        sound[:, round(gap_s[0] * rate) : round(gap_s[1] * rate)] = 0
    return sound.astype(np.float32)


def write_sound(path, samples=None, rate=44100):
    """Write (channels, samples) in the format that the name tells; five streams of it to .stem.mp4."""
    path, samples = Path(path), music(rate=rate) if samples is None else np.asarray(samples, np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix in (".m4a", ".mp4", ".aac"):
        gains = (1.0, 0.8, 0.6, 0.4, 0.2) if suffix == ".mp4" else (1.0,)
        _write_aac(path, [samples * gain for gain in gains], rate)
    else:
        container, subtype = FORMATS[suffix]
        soundfile.write(path, samples.T, rate, format=container, subtype=subtype)
    return path


def _write_aac(path, sounds, rate):
    with av.open(str(path), "w", format="adts" if path.suffix.lower() == ".aac" else "mp4") as container:
        for samples in sounds:
            stream = container.add_stream("aac", rate=rate, layout="stereo" if len(samples) == 2 else "mono")
        for stream, samples in zip(container.streams.audio, sounds, strict=True):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples, np.float32), "fltp", stream.layout.name
            )
            frame.sample_rate, frame.pts = rate, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def encode(path, codec, samples=None, rate=44100, *, form=None, start=0, piped=False, **options):
    """Write (channels, samples) with FFmpeg's coders and formats; `piped`, so that sizes stay unknown.

    Through PyAV, whose coders and formats are FFmpeg's own: it writes the files of the program `ffmpeg`, which need
    not be there.
    """
    path, samples = Path(path), music(rate=rate) if samples is None else samples
    pipe = _Pipe()
    with av.open(
        pipe if piped else str(path), "w", format=form, options={key: str(o) for key, o in options.items()}
    ) as container:
        layout = "stereo" if len(samples) == 2 else "mono"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", layout)
        frame.sample_rate, frame.pts = rate, start
        taken = stream.codec_context.codec.audio_formats[0].name
        for converted in av.AudioResampler(format=taken, rate=rate).resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    if piped:
        path.write_bytes(pipe.content.getvalue())
    return path


class _Pipe:
    """Takes what is written, and cannot go back."""

    def __init__(self):
        self.content = io.BytesIO()

    def write(self, data):
        return self.content.write(data)


def sweep(seconds=6.0, rate=44100, channels=2):
    """Float32 (channels, samples): a tone that rises twice a second, so that its place is never in doubt."""
    t = np.arange(round(seconds * rate)) / rate % 0.5
    phases = [(200 + 300 * channel + 7000 * t) * t for channel in range(channels)]
    return (0.2 * np.sin(2 * np.pi * np.array(phases))).astype(np.float32)


def lag(sound, original, at, length=10_000):
    """By how many samples the part of `sound` from `at` on is late, and its relative error then."""
    part = sound[0, at : at + length].astype(float)
    low = max(0, at - 4000)
    late = at - low - int(np.argmax(correlate(original[0, low : at + length + 4000], part, "valid", "fft")))
    there = original[0, at - late : at - late + length]
    return late, np.square(part - there).mean() / np.square(there).mean()


def stamp(path, start_s, rate=44100):
    """Put a time stamp, a `bext` chunk, behind the sound of a WAV."""
    content = bytes(338) + struct.pack("<Q", round(start_s * rate)) + bytes(256)
    wav = path.read_bytes() + b"bext" + struct.pack("<I", len(content)) + content
    path.write_bytes(wav[:4] + struct.pack("<I", len(wav) - 8) + wav[8:])
