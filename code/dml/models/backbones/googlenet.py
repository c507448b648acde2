"""GoogLeNet with batch normalisation, as torchvision ships it (after Szegedy et al., CVPR 2015)."""

from __future__ import annotations

from torch import Tensor

from dml.models.backbones.base import Backbone
from dml.models.backbones.inception import init_convolutions
from dml.models.input_spec import IMAGENET_RGB


class GoogLeNet(Backbone):
    """torchvision's GoogLeNet without auxiliary heads, initialised at random; stages 3b, 4e, 5b.

    NOTE: random weights are Kaiming normal. torchvision's own start (standard deviation 0.01) lets the signal
    vanish until batch normalisation has statistics: features of 1e-11, so an untrained network could not be judged.

    NOTE: torchvision's pretrained GoogLeNet re-scales its input (``transform_input``); the published metric
    learning code calls the layers directly and skips that, so images keep the ImageNet mean and std here too. LSD's
    alone calls the whole network, with that and its dropout, and never freezes its batch normalisation.
    """

    input_spec = IMAGENET_RGB
    smallest_side = 15
    block_names = r"inception\d\w"

    def __init__(self) -> None:
        super().__init__()
        from torchvision import models  # here: its import takes as long as torch's

        network = models.GoogLeNet(aux_logits=False, transform_input=False, init_weights=False)
        for name, module in network.named_children():
            if name not in ("avgpool", "dropout", "fc"):
                self.add_module(name, module)
        init_convolutions(self)
        self.stage_channels = {"3b": 480, "4e": 832, "5b": 1024}

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        x, stages = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(images))))), {}
        for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
            if name in ("4a", "5a"):
                x = self.maxpool3(x) if name == "4a" else self.maxpool4(x)
            x = self.run(getattr(self, f"inception{name}"), x)
            if name in self.stage_channels:
                stages[name] = x
        return stages
