"""The split of a run as a table, what changed since it was written, and the run's split over what is there now."""

from __future__ import annotations

import csv
import hashlib
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from dml.config import DataConfig, NoiseConfig
from dml.data import DatasetError, DatasetWarning, data_from_config, load_dataset, screening
from dml.data.classification import classification_from_config, load_classification
from dml.data.readable import Examined
from dml.data.records import PixelRecords, RetrievalData
from dml.data.run_split import (
    FILE_NAME,
    RunRecord,
    compare,
    continued,
    data_digest_of_run,
    judged_as_in_the_run,
    positions,
    read_split,
    split_table,
    trained_without_classes,
    warn_of_trained_classes,
)
from dml.data.unlabelled import load_unlabelled

NAMES = tuple("abcdefgh")


def fill(root: Path, names=NAMES, per_class: int = 3, start: int = 0) -> Path:
    """Class folders of files that no loader opens, each of a size of its own."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + per_class):
            (root / name / f"{i}.png").write_bytes(b"x" * (100 * sum(map(ord, name)) + i))
    return root


def begin(data, root: Path, run: Path) -> RunRecord:
    """The record of a run that begins with ``data``."""
    table = split_table(data, root)
    run.mkdir(exist_ok=True)
    (run / FILE_NAME).write_bytes(table.to_csv())
    return RunRecord.of(table)


def images(records) -> dict[str, str]:
    """File → class."""
    names = [records.class_names[label] for label in records.labels]
    return {"/".join(Path(path).parts[-2:]): name for path, name in zip(records.paths, names, strict=True)}


@pytest.fixture(autouse=True)
def unopened(monkeypatch) -> None:
    """The files are no images, and nobody is to look."""
    monkeypatch.setattr(screening, "examine_all", lambda paths: dict.fromkeys(paths, Examined()))


@pytest.fixture
def photos(tmp_path) -> Path:
    return fill(tmp_path / "photos")


@pytest.fixture
def run(photos, tmp_path) -> Path:
    """The folder of a run that began with ``photos``."""
    begin(load_dataset("folder", photos), photos, tmp_path / "run")
    return tmp_path / "run"


def go_on(photos: Path, run: Path, **options):
    """What a run goes on with, and what is said of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = data_from_config(DataConfig(dataset="folder", data_dir=str(photos)), seed=0, run=run, **options)
    return data, " ".join(str(item.message) for item in caught)


def refused(photos: Path, run: Path) -> str:
    with pytest.raises(DatasetError) as error:
        go_on(photos, run)
    return str(error.value)


# ------------------------------------------------------------------ the table


def test_the_table_says_everything_and_reads_back(photos, tmp_path):
    data = load_dataset("folder", photos, val_split=0.5, seed=3)
    table = split_table(data, photos)
    rows = list(csv.DictReader(table.to_csv().decode().splitlines()))
    assert list(rows[0]) == ["path", "label", "class", "split", "size"]
    assert [row["split"] for row in rows] == ["train"] * 6 + ["val"] * 6 + ["test"] * 12
    assert [row["path"] for row in rows[:6]] == ["/".join(Path(p).parts[-2:]) for p in data.train.paths]
    assert [int(row["label"]) for row in rows[:6]] == data.train.labels.tolist()
    assert {row["class"] for row in rows if row["split"] == "test"} == set("efgh")
    assert int(rows[-1]["size"]) == (photos / rows[-1]["path"]).stat().st_size
    (tmp_path / FILE_NAME).write_bytes(table.to_csv())
    again = read_split(tmp_path / FILE_NAME)
    assert again.to_csv() == table.to_csv()
    assert again.digest == hashlib.sha256(table.to_csv()).hexdigest()


def test_equal_data_have_equal_digests_wherever_they_are_and_however_they_are_held_out(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "elsewhere" / "pictures")
    tables = [split_table(load_dataset("folder", photos, val_split=0.5, seed=seed), photos) for seed in (0, 1)]
    moved = tmp_path / "elsewhere" / "pictures"
    tables += [split_table(load_dataset("folder", root), root) for root in (photos, moved)]
    assert len({table.digest for table in tables[:3]}) == 3
    assert tables[2].digest == tables[3].digest
    assert len({table.data_digest for table in tables}) == 1
    (photos / "a" / "0.png").write_bytes(b"another size")
    assert split_table(load_dataset("folder", photos), photos).data_digest != tables[0].data_digest


def test_a_named_data_set_has_one_digest_wherever_its_folder_is(tmp_path):
    """CUB below or in the data folder, under either of its names."""
    tables = []
    for place, data_dir in (("x/CUB_200_2011", "x"), ("y/cub200", "y"), ("y/cub200", "y/cub200")):
        fill(tmp_path / place / "images")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DatasetWarning)
            tables.append(split_table(load_dataset("cub", tmp_path / data_dir), tmp_path / data_dir))
    assert len({table.digest for table in tables}) == 1
    assert tables[0].paths[0] == "a/0.png"


def test_images_in_memory_and_rendered_ones_count_by_their_pixels(tmp_path):
    pixels = np.zeros((4, 5, 6, 3), np.uint8)
    part = PixelRecords(tuple("wxyz"), np.array([0, 0, 1, 1]), ("p", "q"), pixels)
    table = split_table(RetrievalData("cifar10", part, part, None, None, (1,)), tmp_path)
    assert table.sizes.tolist() == [90] * 8 and table.paths[:4] == tuple("wxyz")
    fill(tmp_path / "train"), fill(tmp_path / "test")
    data = load_dataset("folder", tmp_path)
    data = RetrievalData("glyphs", data.train, data.query, None, None, (1,))
    assert set(split_table(data, tmp_path).sizes.tolist()) == {64 * 64}


@pytest.mark.parametrize("content", ["path,label\n", "path,label,class,split,size\na,x,b,train,1\n", "", "a,b\n1\n"])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(DatasetError, match=r"split\.csv.*damaged"):
        read_split(tmp_path / FILE_NAME)


def test_names_with_commas_quotes_and_bytes_that_are_no_text(tmp_path):
    photos = fill(tmp_path / "photos", ['rose, "red"', "b\udce9ta", "c", "d"])
    table = split_table(load_dataset("folder", photos), photos)
    (tmp_path / FILE_NAME).write_bytes(table.to_csv())
    assert read_split(tmp_path / FILE_NAME).classes == table.classes


# ------------------------------------------------------------------ a run that goes on


def test_a_run_goes_on_quietly_with_the_images_that_it_began_with(photos, run, tmp_path):
    data, said = go_on(photos, run)
    began = load_dataset("folder", photos)
    assert said == "" and data.unused is None
    for split, records in began.parts.items():
        assert data.parts[split].paths == records.paths and data.parts[split].class_names == records.class_names
        assert np.array_equal(data.parts[split].labels, records.labels) and data.parts[split].upright
    photos.rename(tmp_path / "moved")
    assert go_on(tmp_path / "moved", run)[1] == ""


def test_a_run_without_a_table_goes_on_as_ever_and_says_so(photos, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "last.pt").touch()
    data, said = go_on(photos, tmp_path / "old")
    assert len(data.train) == 12
    assert said.count("has no split.csv: whether its images have changed") == 1


def test_a_renamed_class_keeps_its_number_and_its_side(photos, run):
    (photos / "a").rename(photos / "z")
    said = refused(photos, run)
    assert "1 class renamed (a → z)." in said and "gone" not in said.partition(". Put")[0]
    assert "--accept-changes 1 beside --resume-run" in said and "Put them back" in said
    data, _ = go_on(photos, run, accept_changes=True)
    assert data.train.class_names == ("z", "b", "c", "d")
    assert images(data.train)["z/0.png"] == "z" and data.train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert set(images(data.query).values()) == set("efgh")


def test_what_is_gone_new_and_changed_is_counted_and_named(photos, run):
    for name in ("0", "1", "2"):
        (photos / "b" / f"{name}.png").unlink()
    (photos / "c" / "1.png").unlink()
    (photos / "d" / "0.png").write_bytes(b"smaller")
    fill(photos, ["f", "g"], per_class=2, start=7)
    fill(photos, ["new"])
    said = refused(photos, run)
    assert "1 class gone (b), 1 class new (new), 4 files gone (b/0.png, b/1.png, b/2.png, …), 7 new (f/7.png" in said
    assert ", g/7.png, …), 1 changed (d/0.png). Put" in said
    data, said = go_on(photos, run, accept_changes=True)
    assert "3 images have no place in the run" in said
    assert data.train.class_names == tuple("abcd") and data.train.class_counts().tolist() == [3, 0, 2, 3]
    assert len(data.query) == 16 and {"f/7.png", "f/8.png", "g/7.png", "g/8.png"} < set(images(data.query))
    assert set(images(data.unused).values()) == {"new"}


def test_what_was_accepted_is_not_asked_again(photos, run):
    """With a class that is gone, one that is renamed and one that is new."""
    shutil.rmtree(photos / "d")
    (photos / "b").rename(photos / "y")
    fill(photos, ["new"])
    data, _ = go_on(photos, run, accept_changes=True)
    begin(data, photos, run)
    again, said = go_on(photos, run)
    assert said == ""
    assert again.train.class_names == ("a", "y", "c", "d")
    assert again.train.paths == data.train.paths and np.array_equal(again.train.labels, data.train.labels)
    assert images(again.unused) == images(data.unused) and again.query.class_names == tuple("efgh")
    fill(photos, ["new"], per_class=1, start=9)
    assert "1 class new (new), 1 file new (new/9.png)" in refused(photos, run)


def test_classes_that_took_each_others_names(photos, run):
    (photos / "a").rename(photos / "tmp"), (photos / "h").rename(photos / "a"), (photos / "tmp").rename(photos / "h")
    assert "2 classes renamed (a → h, h → a)" in refused(photos, run)
    data, _ = go_on(photos, run, accept_changes=True)
    assert data.train.class_names == ("h", "b", "c", "d") and "a" in set(images(data.query).values())


def test_a_trained_class_in_the_place_of_a_test_class_does_not_judge(photos, run):
    """Its name was that of another class before."""
    shutil.rmtree(photos / "h")
    (photos / "a").rename(photos / "h")
    assert "1 class renamed (a → h), 1 class gone (h)" in refused(photos, run)
    data, _ = go_on(photos, run, accept_changes=True)
    assert images(data.train)["h/0.png"] == "h" and set(images(data.query).values()) == set("efg")
    shutil.rmtree(photos / "b")
    (photos / "h").rename(photos / "b")  # a trained class in the place of another one
    data, _ = go_on(photos, run, accept_changes=True)
    assert data.train.class_names == ("b", "b (gone)", "c", "d")


def test_a_copied_class_is_new_and_nothing_is_renamed(photos, run):
    shutil.copytree(photos / "d", photos / "d2")
    assert "renamed" not in refused(photos, run)
    data, _ = go_on(photos, run, accept_changes=True)
    assert set(images(data.unused).values()) == {"d2"}


def test_nothing_is_renamed_where_two_classes_could_be_meant(tmp_path, run, photos):
    for name in ("a", "b"):
        for file in (photos / name).iterdir():
            file.write_bytes(b"of one size")
    begin(load_dataset("folder", photos), photos, run)
    (photos / "a").rename(photos / "x"), (photos / "b").rename(photos / "y")
    assert "2 classes gone (a, b), 2 classes new (x, y), 6 files gone" in refused(photos, run)


def test_other_images_are_refused_whatever_is_accepted(photos, run, tmp_path):
    other = fill(tmp_path / "other", ["p", "q", "r", "s"], start=50)
    assert "8 classes gone (a, b, c, …), 4 classes new (p, q, r, …)" in refused(other, run)
    with pytest.raises(DatasetError, match=r"no image of the run's split 'train' left.*begin a new one"):
        go_on(other, run, accept_changes=True)
    for name in "fgh":
        shutil.rmtree(photos / name)
    with pytest.raises(DatasetError, match=r"1 class\(es\) of the run's split 'test' left, 2 are needed"):
        go_on(photos, run, accept_changes=True)


def test_held_out_classes_stay_held_out(photos, tmp_path):
    data = load_dataset("folder", photos, val_split=0.5, seed=3)
    begin(data, photos, tmp_path / "run")
    held = set(data.val.class_names)
    shutil.rmtree(photos / "h")
    fill(photos, [sorted(held)[0]], per_class=1, start=8)
    again, _ = go_on(photos, tmp_path / "run", accept_changes=True)
    assert set(again.val.class_names) == held and len(again.val) == 7
    assert again.train.paths == data.train.paths


def test_new_images_of_folders_that_name_their_splits(tmp_path):
    """To train, to be held out with their class, to test; a class on the other side of the run stays out."""
    root, run = tmp_path / "split", tmp_path / "run"
    fill(root / "train", "abcd"), fill(root / "test", "efgh")
    data = load_dataset("folder", root, val_split=0.5, seed=3)
    begin(data, root, run)
    trained, held = data.train.class_names[0], data.val.class_names[0]
    fill(root / "train", [trained, held, "e"], per_class=1, start=9)
    fill(root / "test", ["f", trained], per_class=1, start=9)
    data, _ = go_on(root, run, accept_changes=True)
    for records, name in ((data.train, trained), (data.val, held), (data.query, "f")):
        assert images(records)[f"{name}/9.png"] == name and len(records) in (7, 13)
    assert sorted(data.unused.paths) == sorted(map(str, (root / "train/e/9.png", root / f"test/{trained}/9.png")))


def test_images_that_the_run_leaves_out_are_neither_new_nor_gone(photos, tmp_path):
    data = load_dataset("folder", photos)
    data = data.with_parts(data.parts | {"train": data.train.take(range(1, 12))}, None)
    begin(data, photos, tmp_path / "run")
    (tmp_path / "run" / "left_out.csv").write_text("path,reason\na/0.png,truncated\n")
    again, said = go_on(photos, tmp_path / "run")
    assert said == "" and len(again.train) == 11
    (photos / "a" / "0.png").unlink()
    assert go_on(photos, tmp_path / "run")[1] == ""


def write_list(file: Path, rows: list[tuple[str, str, str]]) -> Path:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *rows])
    return file


def test_a_list_that_moves_and_renames(photos, tmp_path):
    """A trained image never judges; other images follow the list."""
    rows = [(f"photos/{c}/{i}.png", c, "train" if i else "test") for c in "abcd" for i in range(3)]
    file = write_list(tmp_path / "list.csv", [*rows, rows[0]])  # one image is listed twice
    run = tmp_path / "run"
    begin(load_dataset("folder", file), file, run)
    assert len(go_on(file, run)[0].query) == 5
    moved = {1: "test", 3: "train"}
    rows = [(path, c, moved.get(n, split)) for n, (path, c, split) in enumerate(rows)]
    rows[6] = (rows[6][0], "d", rows[6][2])
    write_list(file, rows)
    said = refused(file, run)
    assert "1 file gone (photos/a/0.png), 1 under another class (photos/c/0.png: c → d), 2 in another split" in said
    assert "photos/a/1.png: train → test" in said
    data, _ = go_on(file, run, accept_changes=True)
    assert list(images(data.unused)) == ["a/1.png"]
    assert images(data.query) == {"a/0.png": "a", "c/0.png": "d", "d/0.png": "d"}
    assert images(data.train)["b/0.png"] == "b" and "a/1.png" not in images(data.train)
    begin(data, file, run)
    assert "since the run began" not in go_on(file, run)[1]


def test_query_and_gallery_keep_one_numbering(photos, tmp_path):
    root = tmp_path / "split"
    fill(root / "train"), fill(root / "query", ["p", "q", "r"]), fill(root / "gallery", ["q", "r", "s"])
    run = tmp_path / "run"
    data = load_dataset("folder", root)
    begin(data, root, run)
    fill(root / "gallery", ["p"], per_class=1)
    shutil.rmtree(root / "gallery" / "s")
    fill(root / "gallery", ["a"])  # a trained class
    data, _ = go_on(root, run, accept_changes=True)
    assert data.query.class_names == data.gallery.class_names == ("p", "q", "r")
    assert "p/0.png" in images(data.gallery) and set(images(data.unused).values()) == {"a"}


def test_wrong_labels_stay_with_their_images(photos, run):
    noise = NoiseConfig(noisy_ratio=0.5)
    began, _ = go_on(photos, run, noise=noise)
    wrong = images(began.train.take(began.label_noise.indices))
    assert len(wrong) == 6
    (photos / "a" / "0.png").unlink()
    (photos / "a" / "1.png").unlink()
    fill(photos, ["b"], per_class=2, start=7)
    data, _ = go_on(photos, run, noise=noise, accept_changes=True)
    assert images(data.train.take(data.label_noise.indices)) == {
        path: name for path, name in wrong.items() if path not in ("a/0.png", "a/1.png")
    }
    assert images(data.train_as_it_is) == {path: path[0] for path in images(data.train)}
    shutil.copy(run / FILE_NAME, run / "split_1.csv")  # accepted, and then continued once more
    begin(data, photos, run)
    again, said = go_on(photos, run, noise=noise)
    assert said == "" and np.array_equal(again.train.labels, data.train.labels)
    assert np.array_equal(again.label_noise.indices, data.label_noise.indices)


def test_where_images_stand_now(photos, run):
    earlier = read_split(run / FILE_NAME)
    (photos / "a" / "1.png").unlink()
    (photos / "c").rename(photos / "z")
    fill(photos, ["b"], per_class=1, start=9)
    data, _ = go_on(photos, run, accept_changes=True)
    later = split_table(data, photos)
    assert positions(earlier, later).tolist() == [0, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert later.paths[11] == "b/9.png"


# ------------------------------------------------------------------ classification, and images without classes


def test_a_classifiers_fifth_stays_its_fifth(photos, tmp_path):
    began = load_classification("folder", fill(photos, per_class=10))
    run = tmp_path / "run"
    begin(began, photos, run)
    fill(photos, ["a", "b"], per_class=7, start=20)
    config = DataConfig(dataset="folder", data_dir=str(photos))
    assert set(images(load_classification("folder", photos).test)) & set(images(began.train))
    with pytest.raises(DatasetError, match=r"14 files new \(a/20.png"):
        classification_from_config(config, seed=0, run=run)
    with pytest.warns(DatasetWarning, match="since the run began: 14 files new"):
        data = classification_from_config(config, seed=0, run=run, accept_changes=True)
    assert data.test.paths == began.test.paths and len(data.train) == len(began.train) + 14
    assert data.train.class_names == data.test.class_names == began.train.class_names


def test_images_without_classes(photos, tmp_path):
    run = tmp_path / "run"
    data = load_unlabelled(photos)
    begin(data, photos, run)
    assert trained_without_classes(run)
    assert load_unlabelled(photos, run=run).train.paths == data.train.paths
    (photos / "a" / "0.png").unlink()
    fill(photos, ["a"], per_class=1, start=9)
    with pytest.raises(DatasetError, match=r"1 file gone \(a/0.png\), 1 new \(a/9.png\)"):
        load_unlabelled(photos, run=run)
    with pytest.warns(DatasetWarning, match="since the run began"):
        data = load_unlabelled(photos, run=run, accept_changes=True)
    assert data.train.paths[-1].endswith("a/9.png") and len(data.train) == 24


def test_images_in_memory_follow(tmp_path):
    def data(keep: list[int]) -> RetrievalData:
        pixels = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
        part = PixelRecords(tuple("stuvwxyz"), np.array([0, 0, 0, 0, 1, 1, 1, 1]), ("p", "q"), pixels)
        return RetrievalData("cifar10", part.take(keep), part, None, None, (1,))

    begin(data(list(range(8))), tmp_path, tmp_path / "run")
    with pytest.warns(DatasetWarning, match=r"2 files gone \(s, u\)"):
        kept = continued(data([7, 6, 5, 4, 3, 1]), tmp_path, tmp_path / "run", accept=True)
    assert kept.train.paths == tuple("tvwxyz") and kept.train.pixels[:, 0, 0, 0].tolist() == [1, 3, 4, 5, 6, 7]


# ------------------------------------------------------------------ what a network is judged by


def judge(root: Path, checkpoint: Path, record: RunRecord, photos: Path, load=load_dataset, **options):
    settings = {"dataset": "folder", "data_dir": str(photos)}
    data, lines = judged_as_in_the_run(load("folder", root), root, checkpoint, record, settings, **options)
    judged = getattr(data, "query", None) or data.test
    return images(judged), " ".join(lines)


@pytest.fixture
def best(photos, run) -> tuple[Path, RunRecord]:
    return run / "best.pt", RunRecord.of(read_split(run / FILE_NAME))


def test_the_record_in_a_checkpoint(best):
    record = best[1]
    assert RunRecord.read(record.stored()) == record
    assert record.train_classes == tuple("abcd") and record.test_classes == tuple("efgh")
    assert RunRecord.read(None) is None and RunRecord.read({"digest": "x"}) is None


def test_unchanged_images_need_no_word(photos, best, tmp_path):
    for checkpoint in (best[0], tmp_path / "away" / "best.pt"):
        found, said = judge(photos, checkpoint, best[1], photos)
        assert set(found.values()) == set("efgh") and said == ""


@pytest.mark.parametrize("away", [False, True])
def test_a_trained_class_never_comes_back(photos, best, tmp_path, away):
    """Renamed behind all others, where a rule that halves the classes would test on it."""
    (photos / "a").rename(photos / "z")
    fill(photos, ["d2"])
    checkpoint = tmp_path / "best.pt" if away else best[0]
    found, said = judge(photos, checkpoint, best[1], photos)
    assert set(found.values()) == set("efgh")
    if away:
        assert "2 classes are new since the run: d2, z; not evaluated; --new-classes 1" in said
    else:
        assert "1 class renamed (a → z)" in said and "1 class is new since the run: d2; not evaluated" in said
    found, said = judge(photos, checkpoint, best[1], photos, take_new=True)
    assert set(found.values()) == {*"efgh", "d2"} | ({"z"} if away else set())
    assert "evaluated, as asked for" in said


def test_images_added_to_test_classes_judge_and_those_of_trained_classes_do_not(photos, best):
    fill(photos, ["a", "e"], per_class=1, start=9)
    found, _ = judge(photos, best[0], best[1], photos)
    assert "e/9.png" in found and "a/9.png" not in found


def test_another_folder(photos, best, tmp_path):
    """Names of trained classes never judge; where no name is the run's, the loader splits."""
    strange = fill(tmp_path / "strange", ["p", "q", "r", "s"])
    found, said = judge(strange, best[0], best[1], photos)
    assert set(found.values()) == {"r", "s"} and "has no class of the run; evaluated is the second half" in said
    akin = fill(tmp_path / "akin", ["a", "b", "f", "g", "r"], start=40)
    found, said = judge(akin, best[0], best[1], photos)
    assert set(found.values()) == {"f", "g"}
    assert "2 classes were trained on and not evaluated: a, b" in said and "1 class is new since the run: r" in said
    trained = fill(tmp_path / "trained", ["a", "b", "x", "y"], start=40)
    with pytest.raises(DatasetError, match=r"0 class\(es\) of the run's split 'test'.*--new-classes 1"):
        judge(trained, best[0], best[1], photos)
    assert set(judge(trained, best[0], best[1], photos, take_new=True)[0].values()) == {"x", "y"}
    declared = fill(tmp_path / "declared" / "train", ["p", "q"]).parent
    fill(declared / "test", ["a", "r", "s", "e"])
    assert set(judge(declared, best[0], best[1], photos, take_new=True)[0].values()) == {"r", "s", "e"}


def listed(root: Path, name: str, **splits: str) -> Path:
    """``root/name``: a table of all images of ``splits``' classes."""
    rows = [
        f"{path.relative_to(root)},{path.parent.name},{split}"
        for split, classes in splits.items()
        for letter in classes
        for path in sorted((root / letter).iterdir())
    ]
    (root / name).write_text("\n".join(["path,label,split", *rows]) + "\n")
    return root / name


SIDES = [{"test": "efgh"}, {"query": "efgh", "gallery": "efgh"}]


@pytest.mark.parametrize(("own", "other"), [SIDES, SIDES[::-1]], ids=["test", "query and gallery"])
def test_a_table_with_another_kind_of_split_is_judged_by_class_names(photos, tmp_path, own, other):
    """The same images, with a test split in place of query and gallery, or the other way."""
    table = listed(photos, "own.csv", train="abcd", **own)
    run = tmp_path / "run"
    record = begin(load_dataset("folder", table), table, run)
    judged = [judge(listed(photos, "other.csv", train="abcd", **other), run / "best.pt", record, table)]
    judged += [judge(table.with_name("other.csv"), tmp_path / "best.pt", record, table)]  # no split.csv beside it
    assert judged[0][0] == judged[1][0] and set(judged[0][0].values()) == set("efgh") and len(judged[0][0]) == 12
    sides = [" and ".join(side) for side in (other, own)]
    assert f"other.csv is judged by {sides[0]}, the run was by {sides[1]}: the names of the classes say" in judged[0][1]
    assert "since the run" not in judged[0][1]


@pytest.mark.parametrize(("own", "other"), [SIDES, SIDES[::-1]], ids=["test", "query and gallery"])
def test_a_trained_class_never_comes_back_by_another_kind_of_split(photos, tmp_path, own, other):
    """Neither under its name, nor renamed, nor an image of it under the name of a class that judges."""
    table = listed(photos, "own.csv", train="abcd", **own)
    run = tmp_path / "run"
    record = begin(load_dataset("folder", table), table, run)
    (photos / "b").rename(photos / "z")
    found = dict.fromkeys(other, "azefgn")
    moved = listed(fill(photos, "n"), "other.csv", train="cd", **found)
    moved.write_text(moved.read_text() + "".join(f"c/0.png,e,{split}\n" for split in other))
    images, said = judge(moved, run / "best.pt", record, table)
    assert set(images.values()) == set("efg") and "c/0.png" not in images
    assert "3 classes were trained on and not evaluated: a, c, d" in said and "1 class is new since the run: n;" in said
    images, _ = judge(moved, run / "best.pt", record, table, take_new=True)
    assert set(images.values()) == set("efgn") and "c/0.png" not in images
    with pytest.raises(DatasetError, match=r"0 class\(es\)"):
        judge(listed(photos, "other.csv", train="cdef", **dict.fromkeys(other, "az")), run / "best.pt", record, table)


def test_held_out_classes_were_training_classes(photos, tmp_path):
    record = begin(load_dataset("folder", photos, val_split=0.5, seed=3), photos, tmp_path / "run")
    assert sorted(record.train_classes) == list("abcd")
    shutil.rmtree(photos / "h")
    assert set(judge(photos, tmp_path / "run" / "best.pt", record, photos)[0].values()) == set("efg")


def test_a_split_by_images_is_kept_by_its_file(photos, tmp_path):
    began = load_classification("folder", fill(photos, per_class=10))
    run = tmp_path / "run"
    record = begin(began, photos, run)
    fill(photos, ["a", "b"], per_class=7, start=20)
    fill(photos, ["new"])
    (photos / "c").rename(photos / "z")
    options = {"load": load_classification, "recorded_names": True}
    found, said = judge(photos, run / "best.pt", record, photos, **options)
    assert set(found.values()) == set(images(began.test).values()) and len(found) == len(began.test)
    assert not set(found) & set(images(began.train))
    assert "1 class renamed (c → z)" in said and said.endswith("1 class is new since the run: new; not evaluated")
    with pytest.raises(DatasetError, match=r"split\.csv is not beside the checkpoint, so which of them were trained"):
        judge(photos, tmp_path / "best.pt", record, photos, **options)
    (photos / "d").rename(tmp_path / "d")
    with pytest.raises(DatasetError, match=r"tells 8 classes apart, and .* has no image of 1 of them \(d\)"):
        judge(photos, run / "best.pt", record, photos, **options)
    other = fill(tmp_path / "other", per_class=10, start=50)
    found, said = judge(other, run / "best.pt", record, photos, **options)
    assert len(found) == 16 and "has no image of the run; evaluated is a fifth of each class's" in said
    assert "cannot be told" in judge(other, tmp_path / "best.pt", record, photos, **options)[1]


def test_networks_of_which_nothing_is_known(photos, tmp_path):
    data = load_dataset("folder", photos)
    settings = {"dataset": "folder", "data_dir": str(photos)}
    assert judged_as_in_the_run(data, photos, tmp_path, None, None) == (data, [])
    assert "does not say what it was trained on" in judged_as_in_the_run(data, photos, tmp_path, None, settings)[1][0]
    record = begin(load_unlabelled(photos), photos, tmp_path / "run")
    assert "every image of this folder" in judged_as_in_the_run(data, photos, tmp_path, record, settings)[1][0]
    cub = {"dataset": "cub", "data_dir": "/data"}
    assert judged_as_in_the_run(data, photos, tmp_path, record, cub) == (data, [])


def test_a_source_that_was_trained_on_test_classes_is_named(photos, best):
    data = load_dataset("folder", photos)
    settings = {"dataset": "folder"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_trained_classes(data, "the source network", best[1], settings)
        warn_of_trained_classes(data, "the source network", None, None)
    other = RunRecord("", "", ("f", "h"), ("a",))
    with pytest.warns(DatasetWarning, match=r"the source network was trained on 2 classes .* judged by \(f, h\)"):
        warn_of_trained_classes(data, "the source network", other, settings)


# ------------------------------------------------------------------ what a report groups by


def test_the_digest_of_a_run_that_changed_is_of_both(photos, run, tmp_path):
    began = data_digest_of_run(run)
    assert began == read_split(run / FILE_NAME).data_digest
    (photos / "a" / "0.png").unlink()
    data, _ = go_on(photos, run, accept_changes=True)
    shutil.copy(run / FILE_NAME, run / "split_1.csv")
    begin(data, photos, run)
    assert data_digest_of_run(run) not in (began, split_table(data, photos).data_digest)
    begin(data, photos, tmp_path / "other")
    assert data_digest_of_run(tmp_path / "other") == split_table(data, photos).data_digest
    assert data_digest_of_run(tmp_path) is None


def test_comparing_grows_with_the_number_of_images():
    """All of 20,000 images under other names: seconds if it were quadratic."""
    from dml.data.run_split import SplitTable

    def table(mark: str) -> SplitTable:
        paths = tuple(f"{mark}{c}/{i}.png" for c in range(4000) for i in range(5))
        names = tuple(f"{mark}{c}" for c in range(4000) for _ in range(5))
        return SplitTable(paths, np.arange(20_000) // 5, names, ("train",) * 20_000, np.arange(20_000) % 7)

    changes = compare(table("a"), table("b"))
    assert len(changes.gone) == len(changes.new) == 20_000 and not changes.renamed
