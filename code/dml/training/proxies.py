"""What is done with a method's class proxies besides training them: where they start, and pages that show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch.nn.functional import normalize

from dml.config import TrainConfig
from dml.data import RetrievalData
from dml.data.images import ImageDataset
from dml.data.loader import eval_loader
from dml.evaluation.embedding import FabricEmbed, embed_records
from dml.evaluation.plots import tsne_page, whole_classes
from dml.methods.base import Method
from dml.tracking import Tracker, say
from dml.training.cached import CachedFeatures

PAGE_EVERY = 10
PAGE_POINTS, PAGE_PROXIES = 5_000, 1_000


def start_at_class_means(
    config: TrainConfig, fabric: Fabric, images: ImageDataset | CachedFeatures, method: Method
) -> None:
    """``--init_type center``: set each proxy to the mean embedding of its training images, in a random crop each.

    One pass over the training set, by the network in evaluation mode; the same proxies on every process and in every
    run of a seed.

    NOTE: the published code takes what its training loader gives in one epoch, which leaves out the last images, or
    with ``--IPC`` draws them with replacement; a class that is not among them gets proxies of NaN. Here every image
    counts once, and a class without an image, as a continued run may have, keeps the proxy that it has.

    Args:
        images: the training images, transformed as a step sees them.
    """
    loader = eval_loader(
        images,
        batch_size=max(1, config.embedding.batch_size // fabric.world_size),
        workers=config.data.workers,
        device=fabric.device,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        seed=config.run.seed,
    )
    embeddings, labels, indices = FabricEmbed(fabric)(method.model, loader, fabric.device, progress="class means")
    order = indices.argsort(stable=True)  # sums of floats depend on it
    sums = torch.zeros(images.records.num_classes, embeddings.shape[1])
    sums.index_add_(0, labels[order], embeddings[order])
    counts = torch.bincount(labels, minlength=len(sums))
    seen = counts > 0
    proxies = method.proxies()
    assert proxies is not None  # else there is nothing to start, and the flag is refused
    proxies[seen.to(proxies.device)] = (sums[seen] / counts[seen, None]).to(proxies)


class ProxyPages:
    """``--visualize``: t-SNE pages of test embeddings and proxies, at the start and after every tenth epoch.

    The proxies, if the loss has any, are those of the training classes, which the test split does not share.
    At most 5,000 points are embedded and drawn, at most 1,000 of them proxies: whole test classes, and proxies,
    chosen at random, the same on every page. On two CPU threads a page in the plane and one in space take about
    20 s together.

    Args:
        config, fabric, data, method: the run's.
        tracker: is told of the pages.
        folder: the run's; the pages are ``tsne_2d_epoch_<n>.html`` and ``tsne_3d_epoch_<n>.html``.
    """

    def __init__(
        self,
        config: TrainConfig,
        fabric: Fabric,
        data: RetrievalData,
        method: Method,
        *,
        tracker: Tracker,
        folder: Path,
    ):
        self.config, self.fabric, self.data, self.method = config, fabric, data, method
        self.tracker, self.folder = tracker, folder
        rng = np.random.default_rng(config.run.seed)
        num_proxies = 0 if method.proxies() is None else data.train.num_classes
        self.shown_proxies = np.sort(rng.permutation(num_proxies)[:PAGE_PROXIES])
        room = PAGE_POINTS - len(self.shown_proxies)
        self.images = data.query.select(whole_classes(data.query.labels, room, config.run.seed))

    def __call__(self, epoch: int) -> None:
        """Draw, if ``epoch`` complete epochs ask for it; every process takes part in embedding, the first draws."""
        if epoch % PAGE_EVERY:
            return
        embeddings = embed_records(self.method.judged, self.images, self.config.data, self.fabric, progress="t-SNE")
        if not self.fabric.is_global_zero:
            return
        pages, proxies = {}, self.method.proxies()
        if proxies is not None:
            proxies = normalize(proxies[torch.from_numpy(self.shown_proxies).to(proxies.device)])
        for dimensions in (2, 3):
            name = f"tsne_{dimensions}d_epoch_{epoch}"
            pages[name] = self.folder / f"{name}.html"
            tsne_page(
                normalize(embeddings),
                self.images,
                pages[name],
                thumbnails=False,
                proxies=proxies,
                proxy_names=[self.data.train.class_names[c] for c in self.shown_proxies],
                dimensions=dimensions,
                max_points=len(self.images),
                title=f"t-SNE of the test embeddings of {self.data.name} and the proxies after {epoch} epochs",
                seed=self.config.run.seed,
            )
        self.tracker.log_pictures(pages)
        say("\n".join(f"{name}: {path}" for name, path in pages.items()))
