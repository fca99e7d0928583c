"""Sound files of any kind for the tests of files and data sets."""

from pathlib import Path

import av
import numpy as np
import soundfile

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
