"""What ``code/export.py`` does: write a network, and send it where that is asked for."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

from dml.cli.evaluate import stored_settings
from dml.cli.export import ExportCommand
from dml.data import load_dataset
from dml.data.images import image_of
from dml.data.known_classes import EveryImageData
from dml.data.records import RetrievalData
from dml.data.unlabelled import UnlabelledData, load_unlabelled
from dml.errors import UserError
from dml.export import export
from dml.models.convert import load_model_checkpoint
from dml.models.run_checkpoint import checkpoint_file
from dml.search.photographs import photographs_in
from dml.tracking import say

SOME = 16  # images that formats are compared on


def run(command: ExportCommand) -> None:
    """Write a network in the formats that a command line of export.py names. UserError for what does not fit."""
    if command.push is not None and find_spec("huggingface_hub") is None:
        raise UserError("--push needs huggingface_hub: `pip install '.[hub]'` installs it")
    images, about = _images(command)
    done = export(command.ckpt, command.folder, formats=command.formats, images=images, about=about)
    for name, difference in done.differences.items():
        say(f"{name}: on {done.images} images ({about}) within {difference:.1e} of our embeddings")
    say(f"{done.folder}: {', '.join(sorted(path.name for path in done.folder.iterdir()))}")
    if command.push is not None:
        push(done.folder, command.push)


def push(folder: Path, repository: str) -> None:
    """Send a folder to the hub, into a repository that is made if it is not there. UserError for what goes wrong."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        api = HfApi()
        api.create_repo(repository, exist_ok=True)
        address = api.upload_folder(repo_id=repository, folder_path=folder)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(f"--push {repository}: {str(error).splitlines()[0]}; {folder} is complete") from error
    say(f"sent to {address}")


def _images(command: ExportCommand) -> tuple[list, str]:
    """Some real images, and what they are: those that were named, else the run's own, else letters."""
    if command.images:
        paths = [one.path for one in photographs_in(command.images)]
        return paths[:: max(1, len(paths) // SOME)][:SOME], "photographs that were named"
    stored = stored_settings(load_model_checkpoint(checkpoint_file(command.ckpt, flag="--ckpt")).config or {})
    name, place = stored.get("dataset"), stored.get("data_dir")
    if name and place and stored.get("unlabelled") is not None:
        try:
            whole = load_unlabelled(Path(place)) if stored["unlabelled"] else load_dataset(name, place)
            return _some(whole), f"of the run's data, {name}"
        except (UserError, OSError):
            pass
    with tempfile.TemporaryDirectory() as folder:
        return _some(load_dataset("glyphs", folder)), "letters: the run's data are not there"


def _some(data: RetrievalData | EveryImageData | UnlabelledData) -> list:
    """Of the images that a network is judged by, else of all that there are."""
    records = data.query if isinstance(data, RetrievalData) else data.train
    return [image_of(records, number) for number in range(0, len(records), max(1, len(records) // SOME))][:SOME]
