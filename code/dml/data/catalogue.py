"""Where the official files of each dataset are, what they are, and where they belong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """An official file.

    Attributes:
        name: its name.
        md5: its MD5 in hexadecimal; None: not published.
        folder: where it belongs, below the data folder: an archive is unpacked there, another file copied, as are
            those of CIFAR, which are read as they are.
        url: where it can be fetched without a form or an account; None: nowhere.
        size: in bytes; None: not published.
    """

    name: str
    md5: str | None
    folder: str
    url: str | None = None
    size: int | None = None

    @property
    def is_archive(self) -> bool:
        return self.name.endswith((".tgz", ".zip"))


@dataclass(frozen=True)
class Origin:
    """The official files of a dataset and, where a host demands them, the steps to take by hand.

    Attributes:
        steps: with ``{data_dir}``, and ``{data_dir_flag}`` for the end of a command.
    """

    files: tuple[RemoteFile, ...]
    steps: str = ""


ORIGINS = {
    "cub": Origin(
        (
            RemoteFile(
                "CUB_200_2011.tgz",
                md5="97eceeb196236b17998738112f37df78",
                folder="",
                url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                size=1_150_585_339,
            ),
        )
    ),
    "SOP": Origin(
        (
            RemoteFile(
                "Stanford_Online_Products.zip",
                md5="7f73d41a2f44250d4779881525aea32e",
                folder="",
                url="ftp://cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
            ),
        )
    ),
    "cars": Origin(
        (
            RemoteFile("car_ims.tgz", md5="d5c8f0aa497503f355e17dc7886c3f14", folder="cars196"),
            RemoteFile("cars_annos.mat", md5="b407c6086d669747186bd1d764ff9dbc", folder="cars196"),
            RemoteFile("car_devkit.tgz", md5="c3b158d763b6e2245038c8ad08e45376", folder="cars196"),
            RemoteFile("cars_train.tgz", md5="065e5b463ae28d29e77c1b4b166cfe61", folder="cars196"),
            RemoteFile("cars_test.tgz", md5="4ce7ebf6a94d07f1952d94dd34c4d501", folder="cars196"),
            RemoteFile("cars_test_annos_withlabels.mat", md5="b0a2b23655a3edd16d84508592a98d10", folder="cars196"),
        ),
        steps="""\
Cars-196: the Stanford hosts of its files are gone. Get one of these two forms from a mirror:
  car_ims.tgz and cars_annos.mat
  car_devkit.tgz, cars_train.tgz, cars_test.tgz and cars_test_annos_withlabels.mat
Known mirrors: the dataset "stanford-cars-dataset" on Kaggle (account needed; a list is missing there), and
those named in torchvision's discussion of the loss, https://github.com/pytorch/vision/issues/7545.
Then, with the archives wherever they are,
  python scripts/download_dataset.py cars --from FILE [FILE ...]{data_dir_flag}
checks them by hash and puts them in place. If the mirror gives unpacked folders, put into {data_dir}/cars196/
either car_ims/ and cars_annos.mat, or cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat, or
one folder per class, and check them with
  python scripts/verify_dataset.py cars{data_dir_flag}""",
    ),
    "Inshop": Origin(
        (
            RemoteFile("img.zip", md5=None, folder="Inshop_Clothes"),
            RemoteFile("list_eval_partition.txt", md5=None, folder="Inshop_Clothes/Eval"),
        ),
        steps="""\
In-Shop: its authors give the files on request.
  1. On https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion.html follow "In-shop Clothes Retrieval Benchmark"
     and its download instructions.
  2. Download Img/img.zip (not the high-resolution one) and Eval/list_eval_partition.txt.
  3. python scripts/download_dataset.py Inshop --from img.zip list_eval_partition.txt{data_dir_flag}
     or unpack img.zip in {data_dir}/Inshop_Clothes/ and put the list into {data_dir}/Inshop_Clothes/Eval/.
  4. python scripts/verify_dataset.py Inshop{data_dir_flag}""",
    ),
    "cifar10": Origin(
        (
            RemoteFile(
                "cifar-10-python.tar.gz",
                md5="c58f30108f718f92721af3b95e74349a",
                folder="cifar10",
                url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                size=170_498_071,
            ),
        )
    ),
    "cifar100": Origin(
        (
            RemoteFile(
                "cifar-100-python.tar.gz",
                md5="eb9058c3a382ffc7106e4002c42a8d85",
                folder="cifar100",
                url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                size=169_001_437,
            ),
        )
    ),
    "imagenet": Origin(
        (),
        steps="""\
ImageNet-1K: its authors give the files to registered users.
  1. On https://image-net.org/download-images follow ILSVRC2012 and download ILSVRC2012_img_train.tar,
     ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz into {data_dir}/imagenet/.
  2. torchvision checks them and unpacks them into train/<class>/ and val/<class>/:
     python -c "from torchvision.datasets import ImageNet as I; [I('{data_dir}/imagenet', s) for s in ('train', 'val')]"
  3. python scripts/verify_dataset.py imagenet{data_dir_flag}""",
    ),
}
