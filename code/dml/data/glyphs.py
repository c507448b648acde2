"""The built-in dataset: letters as classes, typefaces as instances, rendered from matplotlib's fonts.

A letter under a small random distortion in 16 typefaces is a class of 16 images. Half of the letters of each
script are for training, the other half are never seen in it. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dml.data.layout import (
    DatasetError,
    DatasetSpec,
    fetch_command,
    read_class_folders,
    require_classes,
    require_folder,
)
from dml.data.records import RetrievalData

RECIPE = "glyphs 1\n"
"""Changes whenever the images would; a folder rendered by another recipe is rendered anew."""
RECIPE_FILE = "recipe.txt"
RECALL_KS = (1, 2, 4, 8, 16, 32)

SEED = 0
IMAGE_SIZE = 64  # pixels
FONT_SIZE = 36  # pixels per em
MAX_TURN = 12.0  # degrees
MAX_STRETCH = 0.2  # of either axis, as a share
MAX_SHIFT = 5.0  # pixels

# The letters without diacritics that all 16 typefaces have. Of letters that look alike (Latin A, Greek Alpha,
# Cyrillic A) only the first is kept: nothing could tell them apart.
LETTERS = {
    "latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzÆÐØÞßæðøþđĦħıŁłŊŋŒœŦŧƀƈƐƒƕƙƚƛƞƥƪƫƭƺƻƾǁǂǃȷɐ"
    "ɑɒɓɔɕɖɗɘəɚɛɜɝɞɟɠɡɢɣɤɥɦɧɨɩɪɫɬɭɮɯɰɱɲɳɴɵɶɷɸɹɺɻɼɽɾɿʀʁʂʃʄʅʆʇʈʉʊʋʌʍʎʏʐʑʒʓʔʕʖʗʘʙʚʛʜʝʞʟʠʡʢʣʤʥʦʧʨ",
    "greek": "ΓΔΘΛΞΠΣΦΨΩαβγδζθικλμνξπρςστφχψωϘϙϚϛϝϞϟϠϡ",
    "cyrillic": "ЂЄЉЊЋЏБДЖЗИКЛУФЦЧШЩЪЫЬЭЮЯбгджзилмптфцчщъыьэюяђєљњћџѢѣѲҐґ",
}
TYPEFACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
)


def load_glyphs(data_dir: Path) -> RetrievalData:
    """The letters under ``data_dir/glyphs``, rendered there at first use."""
    root = prepare_glyphs(data_dir)
    halves = {half: read_class_folders(root / half) for half in ("train", "test")}
    for half, records in halves.items():
        require_classes(records, root / half)
    return RetrievalData("glyphs", halves["train"], halves["test"], None, None, RECALL_KS)


def prepare_glyphs(data_dir: Path) -> Path:
    """The folder of rendered letters; rendering takes a few seconds and 4 MB.

    Falls back to the user's cache folder if ``data_dir`` cannot be written. The folder appears in one step:
    neither an interruption nor a second process leaves half of it.

    Raises:
        OSError: if neither place can be written.
        DatasetError: if ``data_dir`` is a file, or another folder has that name.
    """
    require_folder(data_dir)
    places = [data_dir, _user_cache()]
    for place in places:
        if _is_rendered(place / "glyphs"):
            return place / "glyphs"
    workshop, place = _workshop_in(places)
    try:
        rendered = workshop / "glyphs"
        render_glyphs(rendered)
        _put_in_place(rendered, place / "glyphs", workshop / "outdated")
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return place / "glyphs"


def render_glyphs(root: Path) -> None:
    """Write ``root/<train|test>/<script>-<code point>/<typeface>.png`` (64 × 64, greyscale, black on white).

    The same pixels at every call, given the versions of matplotlib's fonts and of Pillow.
    """
    import matplotlib  # here: no other data set needs it

    fonts_dir = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = {face: ImageFont.truetype(fonts_dir / f"{face}.ttf", FONT_SIZE) for face in TYPEFACES}
    rng = np.random.default_rng(SEED)
    for script, letters in LETTERS.items():
        train = _training_letters(letters, rng)
        for letter in letters:
            half = "train" if letter in train else "test"
            folder = root / half / f"{script}-{ord(letter):04x}"
            folder.mkdir(parents=True)
            for face, font in fonts.items():
                _draw(letter, font, rng).save(folder / f"{face}.png")
    (root / RECIPE_FILE).write_text(RECIPE)


def _training_letters(letters: str, rng: np.random.Generator) -> set[str]:
    """Half of ``letters``, drawn so that both cases of a letter, often alike, fall on the same side."""
    pairs = sorted({letter.lower() for letter in letters})
    rng.shuffle(pairs)
    by_pair = sorted(letters, key=lambda letter: (pairs.index(letter.lower()), letter))
    cut = len(letters) // 2
    if by_pair[cut - 1].lower() == by_pair[cut].lower():
        cut += 1
    return set(by_pair[:cut])


def _draw(letter: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> Image.Image:
    """The letter turned, stretched and shifted at random."""
    image = Image.new("L", (IMAGE_SIZE, IMAGE_SIZE), "white")
    centre = IMAGE_SIZE / 2
    # On a common baseline, so that size tells small letters from capitals.
    ImageDraw.Draw(image).text((centre, centre + FONT_SIZE / 3), letter, fill="black", font=font, anchor="ms")
    turn = math.radians(rng.uniform(-MAX_TURN, MAX_TURN))
    stretch_x, stretch_y = 1 + rng.uniform(-MAX_STRETCH, MAX_STRETCH, 2)
    shift_x, shift_y = rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2)
    # Image.transform asks where each output pixel comes from: (x, y) → (a x + b y + c, d x + e y + f).
    a, b = math.cos(turn) / stretch_x, math.sin(turn) / stretch_x
    d, e = -math.sin(turn) / stretch_y, math.cos(turn) / stretch_y
    c = centre - a * (centre + shift_x) - b * (centre + shift_y)
    f = centre - d * (centre + shift_x) - e * (centre + shift_y)
    return image.transform(
        image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR, fillcolor="white"
    )


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dml"


def _is_rendered(root: Path) -> bool:
    try:
        return (root / RECIPE_FILE).read_text() == RECIPE
    except (OSError, ValueError):  # ValueError: not text
        return False


def _workshop_in(places: list[Path]) -> tuple[Path, Path]:
    """A new temporary folder in the first of ``places`` that can be written, and that place."""
    errors = []
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=".glyphs-", dir=place)), place
        except OSError as error:
            errors.append(f"{place}: {error.strerror}")
    raise OSError(f"no place to render the dataset 'glyphs': {'; '.join(errors)}. Give --data-dir")


def _put_in_place(rendered: Path, target: Path, outdated: Path) -> None:
    if (target / RECIPE_FILE).is_file() and not _is_rendered(target):
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            target.rename(outdated)
    try:
        rendered.rename(target)
    except OSError:
        if not _is_rendered(target):  # otherwise another process was faster
            raise DatasetError(f"{target} is in the way: it was not rendered here. Move it") from None


SPEC = DatasetSpec(
    name="glyphs",
    load=load_glyphs,
    recall_ks=RECALL_KS,
    official={},
    fetch=fetch_command("glyphs"),
    aliases=("Glyphs",),
)
