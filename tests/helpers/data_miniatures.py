"""Data sets in miniature, each laid out as its makers do: what `find_songs` must find in them.

Every function takes an empty folder `root` and `write(path)`, which writes one sound to a path whose folder exists
(for .stem.mp4: five streams). It returns the songs sorted by name.
"""

from diffmst_lib.data.sampling import Sampling
from diffmst_lib.data.songs import FoundSong, Source

SHORT = Sampling(seconds=2, min_tracks=2, max_tracks=4)
CHANNELS = Sampling(track_lufs=-30, seconds=2, min_tracks=2, max_tracks=6)  # as in the paper

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "


def touch(root, *paths):
    """Empty files: no layout opens audio."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def names(songs):
    return [song.name for song in songs]


def found_song(folder, *stems, mix=None, **about):
    """A song of a folder, by the names of its files."""
    about = {"name": folder.name, "title": folder.name, "layout": "folders"} | about
    return FoundSong(
        stems={s.split(".")[0]: Source(folder / s) for s in stems}, mix=mix and Source(folder / mix), **about
    )


def song(root, name, title, layout, artist="", stems=(), mix=None):
    """A song whose stems and mix are given by their paths below `root`."""
    stems = {stem: Source(root / path) for stem, path in dict(stems).items()}
    return FoundSong(name, title, layout, artist, stems, Source(root / mix) if mix else None)


def put(root, path, content):
    """A file that is no sound, with its folder."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content)


def _sounds(root, write, songs):
    """Write every file of these songs, once."""
    sources = [source for song in songs for source in (*song.stems.values(), song.mix) if source]
    for path in dict.fromkeys(source.path for source in sources):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    return songs


def folders(root, write):
    """One folder a song, one file a stem, in all kinds of formats."""
    put(root, ".DS_Store", b"Bud1")
    put(root, "notes.txt", b"120 BPM")
    put(root, "caesium/lyrics.pdf", b"%PDF-1.4")
    (root / "nothing here").mkdir()
    return _sounds(
        root,
        write,
        [
            song(
                root,
                "Ane Brun - Å være",
                "Å være",
                "folders",
                "Ane Brun",
                {"Bass DI": "Ane Brun - Å være/Bass DI.flac", "Vox #1": "Ane Brun - Å være/Vox #1.mp3"},
            ),
            song(
                root,
                "The_Band_-_Don't_Go",
                "Don't Go",
                "folders",
                "The Band",
                {"kick": "The_Band_-_Don't_Go/kick.ogg"},
                "The_Band_-_Don't_Go/The_Band_-_Don't_Go_Mix.WAV",
            ),
            song(
                root,
                "caesium",
                "caesium",
                "folders",
                "",
                {"kick": "caesium/kick.m4a", "snare.top": "caesium/snare.top.opus"},
                "caesium/mixdown.wav",
            ),
        ],
    )


MEDLEYDB_METADATA = """album: ''
artist: {artist}
composer:
- {artist}
excerpt: 'no'
genre: Singer/Songwriter
has_bleed: 'no'
instrumental: 'no'
mix_filename: {name}_MIX.wav
origin: Independent Artist
raw_dir: {name}_RAW
stem_dir: {name}_STEMS
stems:
  S01:
    component: bass
    filename: {name}_STEM_01.wav
    instrument: electric bass
    raw:
      R01:
        filename: {name}_RAW_01_01.wav
        instrument: electric bass
  S02:
    component: ''
    filename: {name}_STEM_02.wav
    instrument: drum set
    raw:
      R01:
        filename: {name}_RAW_02_01.wav
        instrument: kick drum
      R02:
        filename: {name}_RAW_02_02.wav
        instrument: fx/processed sound
title: {title}
version: 1.2
website: []
"""


def _medleydb_song(root, write, folder, name, metadata, artist, title):
    """One song with its RAW and STEMS folders, its mix, and metadata at the path `metadata` where that is given."""
    home = f"{folder}/{name}"
    instruments = dict.fromkeys(["01_01", "02_01", "02_02"], "")
    if metadata:
        put(root, metadata, MEDLEYDB_METADATA.format(name=name, artist=artist, title=title).encode())
        instruments = {"01_01": " electric bass", "02_01": " kick drum", "02_02": " fx-processed sound"}
    put(root, f"{home}/{name}_RAW/._{name}_RAW_01_01.wav", APPLE_DOUBLE)
    put(root, f"{home}/{name}_RAW/.DS_Store", b"Bud1")
    (root / home / f"{name}_STEMS").mkdir(parents=True)
    for number in ("01", "02"):
        write(root / home / f"{name}_STEMS" / f"{name}_STEM_{number}.wav")
    raw = {
        f"{number}{instrument}": f"{home}/{name}_RAW/{name}_RAW_{number}.wav"
        for number, instrument in instruments.items()
    }
    return _sounds(root, write, [song(root, home, title, "medleydb", artist, raw, f"{home}/{name}_MIX.wav")])


def medleydb_v1(root, write):
    """MedleyDB 1: metadata beside the audio."""
    beside = "Audio/{0}/{0}_METADATA.yaml".format
    boys, rock = "ClaraBerryAndWooldog_Boys", "MusicDelta_80sRock"
    return [
        *_medleydb_song(root, write, "Audio", boys, beside(boys), "Clara Berry and Wooldog", "Boys"),
        *_medleydb_song(root, write, "Audio", rock, beside(rock), "Music Delta", "80s Rock"),
    ]


def medleydb_v2(root, write):
    """MedleyDB 2: metadata in a folder of its own, one song without, one with STEMS only."""
    songs = [
        *_medleydb_song(
            root,
            write,
            "V2",
            "AllenStone_FindYourWay",
            "Metadata/AllenStone_FindYourWay_METADATA.yaml",
            "Allen Stone",
            "Find Your Way",
        ),
        *_medleydb_song(root, write, "V2", "DahkaBand_SoldierMan", None, "Dahka Band", "Soldier Man"),
    ]
    put(root, "__MACOSX/V2/AllenStone_FindYourWay/._AllenStone_FindYourWay_MIX.wav", APPLE_DOUBLE)
    name, home = "FallingSparks_Improvisation1", "V2/FallingSparks_Improvisation1"
    put(
        root,
        f"Metadata/{name}_METADATA.yaml",
        MEDLEYDB_METADATA.format(name=name, artist="Falling Sparks", title="Improvisation 1").encode(),
    )
    stems = {
        "01 electric bass": f"{home}/{name}_STEMS/{name}_STEM_01.wav",
        "02 drum set": f"{home}/{name}_STEMS/{name}_STEM_02.wav",
    }
    return songs + _sounds(
        root,
        write,
        [song(root, home, "Improvisation 1", "medleydb", "Falling Sparks", stems, f"{home}/{name}_MIX.wav")],
    )


def cambridge(root, write):
    """The Cambridge-MT library: archives unzipped in four ways, an excerpt too many, previews beside and inside."""
    put(root, "__MACOSX/ANiMAL_EasyTiger_Full/._01_Kick.wav", APPLE_DOUBLE)
    put(root, "AngelsInAmplifiers_ImAlright_Full/Readme.txt", b"Thank you")
    double = root / "AngelsInAmplifiers_ImAlright_Excerpt"
    double.mkdir()
    write(double / "01_Kick.wav")
    songs = [
        song(
            root,
            "3DMARCo_ACapella_Full",
            "A Capella",
            "cambridge",
            "3DMARCo",
            {"01_Soprano": "3DMARCo_ACapella_Full/01_Soprano.wav"},
            "3DMARCoACapella_Full_Preview.mp3",
        ),
        song(
            root,
            "ANiMAL_EasyTiger_Full",
            "Easy Tiger",
            "cambridge",
            "ANiMAL",
            {
                "01_Kick": "ANiMAL_EasyTiger_Full/ANiMAL_EasyTiger_Full/01_Kick.wav",
                "02_Snare": "ANiMAL_EasyTiger_Full/ANiMAL_EasyTiger_Full/02_Snare.wav",
            },
        ),
        song(
            root,
            "AngelsInAmplifiers_ImAlright_Full",
            "Im Alright",
            "cambridge",
            "Angels In Amplifiers",
            {
                "01_Kick": "AngelsInAmplifiers_ImAlright_Full/01_Kick.wav",
                "02_Snare": "AngelsInAmplifiers_ImAlright_Full/02_Snare.wav",
            },
            "ImAlright_Full_Preview.mp3",
        ),
        song(
            root,
            "HollowGround_IllFate",
            "Ill Fate",
            "cambridge",
            "Hollow Ground",
            {"01_Kick": "HollowGround_IllFate/01_Kick.wav", "02_Gtr": "HollowGround_IllFate/02_Gtr.wav"},
        ),
        song(
            root,
            "JamesMay_OnTheLine_Excerpt",
            "On The Line",
            "cambridge",
            "James May",
            {"01_Kick": "JamesMay_OnTheLine_Excerpt/01_Kick.wav"},
            "JamesMay_OnTheLine_Excerpt/OnTheLine_Excerpt_Preview.mp3",
        ),
        song(
            root,
            "Zwiepack_Air/Zwiepack_Air_Full",
            "Air",
            "cambridge",
            "Zwiepack",
            {"01_MainPair": "Zwiepack_Air/Zwiepack_Air_Full/01_MainPair.wav"},
            "Zwiepack_Air/mix.wav",
        ),
    ]
    return _sounds(root, write, songs)


MUSDB_SONGS = [
    ("test", "Hollow Ground", "Ill Fate"),
    ("test", "M.E.R.C. Music", "Knockout"),
    ("train", "Hollow Ground", "Left Blind"),
    ("train", "Jokers, Jacks & Kings", "Sea Of Leaves"),
]


def musdb18hq(root, write):
    """MUSDB18-HQ: a folder of five WAV files for every song."""
    songs = []
    for split, artist, title in MUSDB_SONGS:
        home = f"{split}/{artist} - {title}"
        stems = {name: f"{home}/{name}.wav" for name in ("drums", "bass", "other", "vocals")}
        songs.append(song(root, home, title, "musdb18hq", artist, stems, f"{home}/mixture.wav"))
    return _sounds(root, write, songs)


def musdb18(root, write):
    """MUSDB18: a file of five streams for every song."""
    songs = []
    for split, artist, title in MUSDB_SONGS:
        name = f"{split}/{artist} - {title}"
        path = root / f"{name}.stem.mp4"
        stems = {
            "drums": Source(path, 1),
            "bass": Source(path, 2),
            "other": Source(path, 3),
            "vocals": Source(path, 4),
        }
        songs.append(FoundSong(name, title, "musdb18", artist, stems, Source(path, 0)))
    return _sounds(root, write, songs)


JAMENDO_TABLE = """TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS
track_0000214\tartist_000014\talbum_000031\t14/214.mp3\t124.6\tgenre---punkrock
track_0000382\tartist_000020\talbum_000046\t82/382.mp3\t211.1\tgenre---classical\tinstrument---voice
track_0001100\tartist_000014\talbum_000049\t00/1100.mp3\t60.0\tgenre---"rock
"""


def jamendo(root, write):
    """MTG-Jamendo: folders 00 to 99 by the last two digits, and the table of artists in `data`."""
    put(root, "data/raw_30s.tsv", JAMENDO_TABLE.encode())
    return _sounds(
        root,
        write,
        [
            song(root, "00/1100", "1100", "songs", "artist_000014", mix="00/1100.mp3"),
            song(root, "14/214", "214", "songs", "artist_000014", mix="14/214.mp3"),
            song(root, "82/382", "382", "songs", "artist_000020", mix="82/382.mp3"),
        ],
    )


def songs(root, write):
    """A plain folder of finished songs."""
    put(root, "cover.jpg", b"\xff\xd8\xff")
    return _sounds(
        root,
        write,
        [
            song(
                root,
                "03 - Sigur Rós - Hoppípolla",
                "Hoppípolla",
                "songs",
                "Sigur Rós",
                mix="03 - Sigur Rós - Hoppípolla.flac",
            ),
            song(root, "Vibe Ace", "Vibe Ace", "songs", mix="Vibe Ace.ogg"),
            song(root, "ünïted", "ünïted", "songs", mix="ünïted.M4A"),
        ],
    )


ALL = {
    "folders": folders,
    "medleydb v1": medleydb_v1,
    "medleydb v2": medleydb_v2,
    "cambridge": cambridge,
    "musdb18hq": musdb18hq,
    "musdb18": musdb18,
    "jamendo": jamendo,
    "songs": songs,
}
