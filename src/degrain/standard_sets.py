"""The standard image sets by name: where they come from, what they are for, what they share.

The files of each, with their hashes, are listed in data/registry.csv.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GITHUB = "https://raw.githubusercontent.com/"

BSDS_LICENCE = "Berkeley Segmentation Dataset: for non-commercial research and education"
NO_LICENCE = "no licence stated by its authors; used for research"


@dataclass(frozen=True)
class StandardSet:
    """A published set of images.

    Attributes
    ----------
    root : path of its files below `host`; a mirror has them below the same path.
    channels : 1 (grey) or 3 (colour).
    splits : what it may be used for.
    scenes : what its pictures show; sets that show the same must not be mixed across splits.
    instead : what to take where it may not be used.
    licence : a note for the user.
    pairs : whether there is a real noisy photograph for every clean one.
    """

    root: str
    channels: int
    splits: tuple[str, ...]
    scenes: str
    instead: str
    licence: str
    pairs: bool = False
    host: str = GITHUB


_FFDNET = "cszn/FFDNet/e787f46df2f374ff3591186706229cb9a0591fea/testsets"
_BSDS = "BIDS/BSDS500/a04b7c6c3a9f0ace74bf205c72a43d32e1c72722/BSDS500/data/images"
_DNCNN = "cszn/DnCNN/e93b27812d3ff523a3a79d19e5e50d233d7a8d0a/TrainingCodes/DnCNN_TrainingCodes_v1.0/data"
_POLYU = "csjunxu/PolyU-Real-World-Noisy-Images-Dataset/3af0f2646b267a00446fe4b7113a15e67bc80b4e"
_CC = "csjunxu/MCWNNM-ICCV2017/e6db69b01ff21e89461cc49893c89afb1a9a941c"
_FASHION = "zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion"

_LEARN, _TEST, _ALL = ("train", "val"), ("test",), ("train", "val", "test")
_TRAIN_ON = "bsds500 (or, in grey, train400)"
_TEST_ON = "bsd68 or set12 in grey, cbsd68, kodak24 or mcmaster in colour"

STANDARD_SETS: Mapping[str, StandardSet] = {
    "train400": StandardSet(
        f"{_DNCNN}/Train400", 1, _LEARN, "BSDS500 train and test", _TEST_ON, BSDS_LICENCE
    ),
    "bsds500": StandardSet(_BSDS, 3, _LEARN, "BSDS500 train and test", _TEST_ON, BSDS_LICENCE),
    "bsds500-val": StandardSet(f"{_BSDS}/val", 3, _LEARN, "BSDS500 val", _TEST_ON, BSDS_LICENCE),
    "bsd68": StandardSet(f"{_FFDNET}/BSD68", 1, _TEST, "BSDS500 val", _TRAIN_ON, BSDS_LICENCE),
    "set12": StandardSet(f"{_FFDNET}/Set12", 1, _TEST, "Set12", _TRAIN_ON, NO_LICENCE),
    "cbsd68": StandardSet(f"{_FFDNET}/CBSD68", 3, _TEST, "BSDS500 val", _TRAIN_ON, BSDS_LICENCE),
    "kodak24": StandardSet(
        f"{_FFDNET}/Kodak24", 3, _TEST, "Kodak24", _TRAIN_ON, "released by Kodak for unrestricted use"
    ),
    "mcmaster": StandardSet(f"{_FFDNET}/McMaster", 3, _TEST, "McMaster", _TRAIN_ON, NO_LICENCE),
    "polyu": StandardSet(f"{_POLYU}/CroppedImages", 3, _ALL, "PolyU", "", NO_LICENCE, pairs=True),
    "cc15": StandardSet(
        f"{_CC}/Real_ccnoise_denoised_part", 3, _TEST, "CC15", "polyu", NO_LICENCE, pairs=True
    ),
    "fashion-mnist": StandardSet(_FASHION, 1, _ALL, "Fashion-MNIST", "", "MIT"),
    "mnist": StandardSet(
        "storage.googleapis.com/cvdf-datasets/mnist", 1, _ALL, "MNIST", "", "CC BY-SA 3.0", host="https://"
    ),
}

# What the released weights trained on. Its part for validation was held out.
RELEASED_ON = "bsds500"

Sets = Mapping[str, Sequence[str]]


def check_name(name: str) -> str:
    """`name`, if it is that of a set.

    Raises
    ------
    ValueError : saying what there is, and what is most like it.
    """
    known = ("embedded", *STANDARD_SETS)
    if name in known or (name.startswith("folder:") and name != "folder:"):
        return name
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    msg = f"expected embedded, folder:PATH or one of: {', '.join(STANDARD_SETS)}{hint}"
    raise ValueError(msg)


def refusal(sets: Sets, channels: int, *, released: bool) -> str | None:
    """Why the sets must not be used so, one line a problem; None if they may.

    Parameters
    ----------
    sets : names of sets for train, val and test.
    released : whether training may go on from the released weights.
    """
    named = {
        split: {name: STANDARD_SETS[name] for name in names if name in STANDARD_SETS}
        for split, names in sets.items()
    }
    problems = [
        problem
        for split, standard in named.items()
        for name, one in standard.items()
        if (problem := _misuse(split, name, one, channels))
    ]
    for split, other in (("train", "test"), ("val", "test"), ("train", "val")):
        problems += _shared(split, named[split], other, named[other])
    if released:
        problems += [problem for split in ("val", "test") for problem in _seen(split, named[split])]
    return "\n".join(problems) or None


def _misuse(split: str, name: str, one: StandardSet, channels: int) -> str | None:
    if split not in one.splits:
        return f"data.{split}: {name} is for {' and '.join(one.splits)} only; take {one.instead} instead"
    if one.channels < channels:
        return f"data.{split}: {name} is grey; set data.channels to 1, or take a set in colour"
    return None


def _shared(
    split: str, ours: Mapping[str, StandardSet], other: str, theirs: Mapping[str, StandardSet]
) -> list[str]:
    """Sets of one split that show scenes of another; of the same set, the splits get disjoint parts."""
    return [
        f"data.{split}: {name} shares its scenes with data.{other}: {against} (both are pictures of "
        f"{one.scenes}), so measuring on {against} would be cheating; take one of the two out"
        for name, one in ours.items()
        for against, held_out in theirs.items()
        if name != against and one.scenes == held_out.scenes
    ]


def _seen(split: str, ours: Mapping[str, StandardSet]) -> list[str]:
    """Sets to measure on that show scenes which the released weights trained on."""
    hint = f", such as {RELEASED_ON}, of which a part was held out" if split == "val" else ""
    return [
        f"data.{split}: {name} shares its scenes with {RELEASED_ON}, on which the weights of pretrain.start: "
        f"auto trained, so measuring on {name} would be cheating; set pretrain.start: none, or take another "
        f"set{hint}"
        for name, one in ours.items()
        if one.scenes == STANDARD_SETS[RELEASED_ON].scenes and (split, name) != ("val", RELEASED_ON)
    ]


def sets_without_pairs(sets: Sets, splits: Sequence[str]) -> list[str]:
    """The sets of some splits of which it is known that they hold no real noisy photographs."""
    return [
        f"data.{split}: {name}"
        for split in splits
        for name in sets[split]
        if name == "embedded" or (name in STANDARD_SETS and not STANDARD_SETS[name].pairs)
    ]
