"""The published source networks of embedding transfer, and how to have them here."""

from __future__ import annotations

from pathlib import Path

from dml.data.download import DownloadError, fetch
from dml.models.convert import load_model_checkpoint
from dml.models.reading import CheckpointError

# Path under pretrained_source/ → id on Google Drive, in the published script's order.
PUBLISHED_SOURCES = {
    "bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth": "1uuTF1AI5yHVVHT0RzBqTEnYHr5TbEdC3",
    "bn_inception/cars_bn_inception_512dim_Proxy_Anchor_ckpt.pth": "1ENSpNad0Zu8d6D5pMG5fsK2bU2z4KuMv",
    "bn_inception/SOP_bn_inception_512dim_Proxy_Anchor_ckpt.pth": "1gyMei5IMSFshqqt0UfN5-po41JbNFULl",
    "resnet50/cub_resnet50_512dim_Proxy_Anchor_ckpt.pth": "1pDBfV3vNTxlYkwsMZylQEgOwmg_bicjV",
    "resnet50/cars_resnet50_512dim_Proxy_Anchor_ckpt.pth": "1WSeBPi61NIr-dsTuZFRoUZ3RJ-S86nfS",
    "resnet50/SOP_resnet50_512dim_Proxy_Anchor_ckpt.pth": "152JIJzzFuz_v6vLtlpybB4OhphE9icRz",
}
# With the confirmation that Google Drive otherwise asks for on a web page.
ADDRESS = "https://drive.usercontent.google.com/download?id={id}&export=download&confirm=t"
PAGE = "https://drive.google.com/file/d/{id}/view"


def fetch_source(name: str, folder: Path, *, address: str = ADDRESS) -> str:
    """Have ``folder/name``, a path of ``PUBLISHED_SOURCES``, and say in one line what it is.

    A sound file is left alone, an interrupted download goes on where it ended, and what came must be a checkpoint
    before it gets its name.

    Args:
        address: where to fetch from, ``{id}`` standing for the file's id.

    Raises:
        DownloadError: it cannot be had, or is no checkpoint (a web page, say); the message says what to do.
    """
    target = folder / name
    if not target.exists():
        file_id = PUBLISHED_SOURCES[name]
        by_hand = f"Download it by hand from {PAGE.format(id=file_id)} to {target}"
        arrived = target.with_name(target.name + ".unchecked")
        try:
            fetch(address.replace("{id}", file_id), arrived)
        except DownloadError as error:
            raise DownloadError(f"{target.name}: {error}. {by_hand}") from error
        try:
            load_model_checkpoint(arrived)
        except CheckpointError as error:
            arrived.unlink()
            raise DownloadError(f"what came is no checkpoint and was removed: {error}. {by_hand}") from error
        arrived.replace(target)
    try:
        return load_model_checkpoint(target).description
    except CheckpointError as error:
        raise DownloadError(f"{error}. Remove that file and run the command again") from error
