"""Which roles does the sound of a stem tell? `python data/judge_roles.py SONG [SONG ...]`, each a folder of stems.

Every stem is heard without its name, and what the name says is taken for the truth. The table goes to evaluation/roles.csv
beside this file.
"""

import argparse
from pathlib import Path

import pandas as pd
from tqdm import tqdm

import diffmst_lib as dm
from diffmst_lib.audio.roles import is_lead_voice, role_of_name
from diffmst_lib.disk import write_whole
from diffmst_lib.network.roles import ROLES, sound_of

OUTPUT = Path(__file__).parent / "evaluation" / "roles.csv"


def rows_of(song: dm.Multitrack) -> list[dict]:
    """Hear the stems of a song: a row each, and which one is its lead voice by the sound alone."""
    nameless = dm.Multitrack([f"x{i}" for i in range(len(song.names))], song.audio, song.sample_rate)
    lead, rows = dm.lead_voice(nameless), []
    for row, (name, given) in enumerate(zip(song.names, nameless.names, strict=True)):
        sound = sound_of(nameless, row)
        if not sound.is_silent:
            rows.append(
                {
                    "song": song.title,
                    "stem": name,
                    "said": role_of_name(name) or "",
                    "heard": sound.role(),
                    "lead said": is_lead_voice(name),
                    "lead heard": given == lead,
                    "low": sound.low,
                    "width": sound.width,
                    "voice": sound.voice,
                }
            )
    return rows


def confusion(table: pd.DataFrame) -> pd.DataFrame:
    """Count what stems are (rows) and what they are taken for, of those whose names say it."""
    judged = table[table["said"] != ""]
    counts = pd.crosstab(judged["said"], judged["heard"])
    return counts.reindex(index=ROLES, columns=ROLES, fill_value=0)


def main(arguments: list[str] | None = None) -> None:
    """Hear the songs, write the table, and print what is right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", nargs="+", type=Path, metavar="SONG", help="folder with the stems of a song")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    rows = [row for folder in tqdm(options.songs) for row in rows_of(dm.load_multitrack(folder))]
    table = pd.DataFrame(rows)
    write_whole(options.output, lambda path: table.to_csv(path, index=False, float_format="%.3f"))
    counts = confusion(table)
    print(counts)
    print(f"right: {sum(counts.loc[role, role] for role in ROLES)} of {counts.to_numpy().sum()}")


if __name__ == "__main__":
    main()
