"""Bad input: refused with one clear paragraph and exit code 2, and nothing half-written; odd input: accepted, and said.

Through the command line. The first part goes through the list of `make accept TOPIC=road ONLY=6`.
"""

import gzip
import json
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image


def png_claiming(width: int, height: int, *, pixels: bytes = b"") -> bytes:
    """A PNG of a few bytes that says it is of that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + (chunk(b"IDAT", pixels) if pixels else b"")


# What is refused: data


def test_no_such_path(train, photos, tmp_path, leftovers):
    train("fotos").refuses("fotos: no such file or folder", "Did you mean 'photos'?")
    train("no/where/at/all").refuses("no/where/at/all: no such file or folder")
    train("x" * 300).refuses("too long", "expected a folder of pictures")
    assert leftovers(tmp_path) == []


def test_a_link_to_nothing(train, tmp_path):
    (tmp_path / "photos").symlink_to("gone")
    train("photos").refuses("photos: a symbolic link to gone, which does not exist")


def test_an_empty_folder(train, tmp_path, leftovers):
    (tmp_path / "photos").mkdir()
    train("photos").refuses(
        "photos is an empty folder", "expected a folder for each class", "or pictures with their boxes"
    )
    assert leftovers(tmp_path) == []


def test_pictures_without_class_folders(train, photos):
    train(photos / "disc").refuses("holds 12 pictures but no class folders", "expected a folder for each class")


def test_one_class_only(train, photos, tmp_path, leftovers):
    shutil.rmtree(photos / "square")
    train(photos).refuses("one class only, 'disc'", "at least two classes")
    assert leftovers(tmp_path) == []


def test_too_few_pictures_to_validate_with(train, photos, tmp_path, leftovers):
    for picture in sorted((photos / "disc").iterdir())[2:]:
        picture.unlink()
    train(photos).refuses("class 'disc' has 2 different pictures", "add pictures", "--split", "--folds")
    train(photos, "--folds", "3").refuses("class 'disc' has 2 different pictures", "too few for 3 folds")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.jpg", b"this is no picture", "not a picture: it is a text file named .jpg"),
        ("zero.jpg", b"", "it is empty (0 bytes)"),
        (
            "bomb.png",
            png_claiming(30_000, 30_000, pixels=b"x"),
            "it claims more pixels than the 178,956,970",
        ),
        ("header.png", png_claiming(30_000, 30_000), "it begins like a PNG picture of 30000 x 30000 pixels"),
        ("noise.tif", bytes(range(255, 0, -1)), "not a picture in any format that striate reads"),
        ("folder.pdf.jpg", b"%PDF-1.7", "not a picture: it is a PDF document"),
    ],
    ids=["text", "empty", "bomb", "bomb's header", "noise", "document"],
)
def test_a_file_that_is_no_picture(train, photos, tmp_path, leftovers, name, content, reason):
    (photos / "disc" / name).write_bytes(content)
    train(photos).refuses("1 of 25 pictures", f"disc/{name}: {reason}", "--skip-unreadable")
    assert leftovers(tmp_path) == []


def test_a_truncated_jpeg(train, photos, tmp_path, leftovers):
    whole = (photos / "disc" / "0000.jpg").read_bytes()
    (photos / "square" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    train(photos).refuses("square/cut.jpg: it is truncated, its end is missing")
    assert leftovers(tmp_path) == []


def test_all_unreadable_pictures_are_listed_before_the_first_step(train, photos, tmp_path, leftovers):
    for number in range(9):
        (photos / "square" / f"bad{number}.jpg").write_text(f"no picture {number}")
    names = [f"square/bad{number}.jpg" for number in range(9)]
    train(photos).refuses("9 of 33 pictures", *names)
    train(photos, "--batch-size", "4").refuses("9 of 33 pictures", *names)  # remembered, not forgotten
    assert leftovers(tmp_path) == []


def test_links_that_lead_in_a_circle(train, photos, tmp_path, leftovers):
    (photos / "disc" / "round.jpg").symlink_to("round.jpg")
    train(photos).refuses("disc/round.jpg: it is a symbolic link that leads in a circle")
    (photos / "disc" / "round.jpg").unlink()
    (photos / "disc" / "up").symlink_to("..")
    train(photos).refuses("disc/up is a symbolic link to a folder that it lies in", "remove it")
    (tmp_path / "self").symlink_to("self")
    train("self").refuses("self: a loop of symbolic links", "expected a folder of pictures")
    assert leftovers(tmp_path) == []


def test_a_picture_without_permission(train, open_folder, as_nobody, leftovers):
    (open_folder / "photos" / "disc" / "0000.jpg").chmod(0)
    with as_nobody():
        answer = train(open_folder / "photos", "--out", open_folder / "run")
    answer.refuses("disc/0000.jpg: no permission to read it")
    assert leftovers(open_folder) == []


@pytest.mark.parametrize("mode", [0o000, 0o111, 0o333])
@pytest.mark.parametrize("place", ["photos", "photos/disc"])
def test_a_folder_that_cannot_be_listed(train, open_folder, as_nobody, leftovers, place, mode):
    (open_folder / place).chmod(mode)
    with as_nobody():
        answer = train(open_folder / "photos", "--out", open_folder / "run")
    answer.refuses(f"{place}: ", "ermission denied", "must be readable")
    assert leftovers(open_folder) == []


def test_a_folder_whose_files_cannot_be_asked(train, open_folder, as_nobody, leftovers):
    (open_folder / "photos" / "disc").chmod(0o444)  # names can be read, and nothing else
    with as_nobody():
        answer = train(open_folder / "photos", "--out", open_folder / "run")
    answer.refuses("12 of 24 pictures", "disc/0000.jpg: no permission to read it")
    assert leftovers(open_folder) == []


def test_without_permission_in_a_process_of_its_own(process, open_folder):
    # Still root, so that it can run this interpreter wherever it lies, but bound by permissions as anybody is.
    without = "-dac_override,-dac_read_search"
    bound = ("setpriv", f"--bounding-set={without}", f"--inh-caps={without}")
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("NO SETPRIV: root must be able to give up its rights")
    (open_folder / "photos" / "square").chmod(0)
    wrap = bound if os.getuid() == 0 else ()
    job = process("train", open_folder / "photos", wrap=wrap, STRIATE_CACHE=str(open_folder / "cache"))
    out, err = job.communicate()
    assert (job.returncode, out) == (2, "")
    assert "photos/square: Permission denied; every folder of the data must be readable" in err


def test_the_same_picture_under_two_labels(train, photos, tmp_path, leftovers):
    shutil.copy(photos / "disc" / "0003.jpg", photos / "square" / "copy.jpg")
    train(photos).refuses("the same picture has two labels", "disc/0003.jpg is 'disc'", "square/copy.jpg is 'square'")
    assert leftovers(tmp_path) == []


def test_two_formats_in_one_folder(train, photos, tmp_path, leftovers):
    np.savez(photos / "more.npz", x=np.zeros((8, 9, 9), np.uint8), y=np.arange(8) % 2)
    train(photos).refuses("more than one format: folders and arrays", "--format folders or --format arrays")
    (photos / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b""))
    train(photos).refuses("folders and idx and arrays", "--format idx")
    assert leftovers(tmp_path) == []
    assert train(photos, "--format", "folders").code == 0


def test_a_wrong_format(train, photos, tmp_path, leftovers):
    train(photos, "--format", "folder").refuses("--format folder", "did you mean 'folders'?".capitalize())
    train(photos, "--format", "idx").refuses("photos holds no idx images", "expected files such as")
    train(photos, "--format", "arrays").refuses("expected one .npz file, found none")
    assert leftovers(tmp_path) == []


def test_arrays_that_cannot_be_taken(train, tmp_path, leftovers):
    pictures, labels = np.arange(8 * 81, dtype=np.uint16).astype(np.uint8).reshape(8, 9, 9), np.arange(8) % 2
    np.savez("objects.npz", x=np.array([{}, 1], object), y=np.arange(2))
    np.savez("flat.npz", x=pictures.reshape(8, 81), y=labels)
    np.savez("short.npz", x=pictures, y=labels[:7])
    np.savez("alone.npz", x=pictures)
    np.savez("signed.npz", x=pictures.astype(np.int16) - 300, y=labels)
    Path("noise.npz").write_bytes(b"PK\x03\x04noise")
    Path("empty.npz").write_bytes(b"")
    train("objects.npz").refuses("pickled objects, which are never loaded")
    train("flat.npz").refuses("x of flat.npz has the shape [8, 81]", "[N, H, W]")
    train("short.npz").refuses("y of short.npz has the shape [7]", "one label for each of 8 pictures")
    train("alone.npz").refuses("has the arrays x", "expected x and y")
    train("signed.npz").refuses("from -300", "0 to 255")
    train("noise.npz").refuses("noise.npz cannot be read", "not a sound .npz file")
    train("empty.npz").refuses("empty.npz cannot be read", "not a sound .npz file")
    assert leftovers(tmp_path) == []


# What is refused: words


def test_an_unknown_model(train, photos, tmp_path, leftovers):
    train(photos, "--model", "resnt18").refuses("'resnt18'", "Did you mean 'resnet18'?", "striate models lists the 59")
    assert leftovers(tmp_path) == []


def test_an_unknown_verb_flag_or_word(striate, train, photos, tmp_path, leftovers):
    striate("trian", photos).refuses('"trian"', 'Did you mean "train"?')
    train(photos, "--batchsize", "8").refuses("--batchsize", "Did you mean --batch-size?")
    train(photos, "photos2").refuses("'photos2'")
    striate("train").refuses("DATA requires an argument")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("batchsize = 8", ["r.toml", "no field 'batchsize'", "Did you mean 'batch_size'?"]),
        ("[augment]\nflipp = true", ["r.toml, table [augment]", "Did you mean 'flip'?"]),
        ("[[stages]]\nepoch = 1", ["r.toml, table [[stages]]", "Did you mean 'epochs'?"]),
        ('batch_size = "8"', ["r.toml: batch_size is", "valid integer"]),
        ("batch_size = 8.5", ["r.toml: batch_size is 8.5", "valid integer"]),
        ("batch_size = true", ["r.toml: batch_size is true", "valid integer"]),
        ("batch_size = 0", ["r.toml: batch_size is 0", "greater than or equal to 1"]),
        ("seed = -1", ["r.toml: seed is -1", "greater than or equal to 0"]),
        ("seed = 99999999999999999999", ["r.toml: seed is 99999999999999999999", "less than"]),
        ("accumulate = 99999999999999999999", ["r.toml: accumulate is", "less than or equal to"]),
        ("checkpoint_blocks = ['stom']", ["no block 'stom'", "Its blocks: stem, stage1, stage2, head"]),
        ("checkpoint_blocks = 'stem'", ["r.toml: checkpoint_blocks is", "valid array"]),
        ("momentum = nan", ["r.toml: momentum is NaN", "less than 1"]),
        ("clip_norm = inf", ["r.toml: clip_norm is Infinity", "finite"]),
        ("size = 32", ["r.toml: size is 32"]),
        ("size = [32]", ["r.toml: size.1 is missing"]),
        ("size = [8, 8]", ["size is 8x8", "lenet5 takes pictures of 32x32", "resnet18"]),
        ("size = [100000, 32]", ["r.toml: size.0 is 100000", "less than or equal to 8192"]),
        ("split = [0.5, 0.5, 0.5]", ["r.toml: split", "sums to 1.5"]),
        ("split = [0.8, 0.0, 0.2]", ["r.toml: split", "validation need a share"]),
        ("folds = 1", ["r.toml: folds is 1", "2 or more"]),
        ("metric = 'accuracy'", ["r.toml: metric is 'accuracy'", "top1, top5, loss, ece"]),
        ("weights = 'pretrained'", ["no pretrained weights of lenet5", "efficientnet_lite0"]),
        ("task = 'detekt'", ["no task 'detekt'", "Did you mean 'detect'"]),
        ("model = ['lenet5']", ["no model", "lenet5"]),
        ("augment = 3", ["r.toml: augment is 3"]),
        ("[augment]\nshift = 100000000", ["shift = 100000000", "0 to 4096"]),
        ("stages = []", ["r.toml: stages is []", "at least 1"]),
        ("[[stages]]\nepochs = 1", ["r.toml: stages.0.rate is missing"]),
        ("[[stages]]\nepochs = 1\nrate = -1", ["r.toml: stages.0.rate is -1", "greater than 0"]),
        ("[[stages]]\nepochs = 1\nrate = 1\nfreeze = ['stom']", ["freezes 'stom'", "stem, stage1, stage2, head"]),
        ("batch_size =", ["r.toml: is not TOML"]),
        ("a = " + "[" * 100_000, ["r.toml: is not TOML"]),
        ('"a\\u001b[2J" = 1', ["no field 'a\\x1b[2J'"]),
    ],
)
def test_a_recipe_that_cannot_be(striate, photos, tmp_path, leftovers, recipe, words):
    Path("r.toml").write_text(("" if "model =" in recipe else "model = 'lenet5'\n") + recipe)
    striate("train", photos, "--recipe", "r.toml").refuses(*words)
    assert leftovers(tmp_path) == []


def test_a_recipe_file_that_cannot_be_read(train, photos, tmp_path, leftovers):
    Path("latin.toml").write_bytes(b"model = 'caf\xe9'")
    train(photos, "--recipe", photos).refuses("photos: cannot be read as a recipe: Is a directory")
    train(photos, "--recipe", "no.toml").refuses("no.toml: cannot be read as a recipe: No such file")
    train(photos, "--recipe", "latin.toml").refuses("latin.toml: is not TOML")
    Path("stages.toml").write_text("[[stages]]\nepochs = 1\nrate = 0.1")
    train(photos, "--recipe", "stages.toml").refuses("stages.toml: has [[stages]]", "--epochs", "one of the two")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--epochs", "0"), ["epochs is 0", "at least 1"]),
        (("--epochs", "-3"), ["epochs is -3", "at least 1"]),
        (("--epochs", "1" + "0" * 30), ["epochs is 1000", "at most"]),
        (("--epochs", "ten"), ["--epochs", '"ten"']),
        (("--batch-size", "-5"), ["batch_size is -5", "greater than or equal to 1"]),
        (("--size", "0"), ["size.0 is 0", "greater than or equal to 1"]),
        (("--seed", "1" + "0" * 30), ["seed is 1000", "less than"]),
        (("--split", "0.5", "0.5"), ["--split requires 3"]),
        (("--optimizer", "adam"), ['"adam"', 'Did you mean "adamw"?']),
        (("--rotation", "1000"), ["rotation = 1000.0", "0 to 180"]),
        (("--crop", "2", "1"), ["crop = (2.0, 1.0)", "0 < least <= most <= 1"]),
        (("--workers", "-1"), ["--workers", ">= 0"]),
        (("--workers", "1000000"), ["--workers", "<= 1024"]),
        (("--extend", "-1"), ["--extend", ">= 0"]),
        (("--folds", "13"), ["12 different pictures", "too few for 13 folds"]),
        (("--device", "gpu"), ["device 'gpu' is not available", "cpu"]),
        (("--device", "cpu:x"), ["device 'cpu:x' is not available", "cpu"]),
    ],
)
def test_a_flag_that_cannot_be(train, photos, tmp_path, leftovers, flags, words):
    train(photos, *flags).refuses(*words)
    assert leftovers(tmp_path) == []


def test_batches_of_one_that_a_batch_norm_cannot_take(train, photos, tmp_path, leftovers):
    one = ("--model", "resnet18", "--batch-size", "1")
    train(photos, *one, "--size", "32").refuses("batch_size is 1 and size 32x32", "resnet18", "2 or more")
    assert leftovers(tmp_path) == []


def test_a_device_that_is_not_there(train, striate, photos, trained, tmp_path, leftovers, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for answer in (
        train(photos, "--device", "cuda"),
        striate("evaluate", trained, photos, "--device", "cuda"),
        striate("predict", trained, photos, "--device", "cuda"),
    ):
        answer.refuses("device 'cuda' is not available here", "cpu", "auto")
    assert leftovers(tmp_path) == []


# What is refused: going on with a run


def test_resuming_with_other_data(train, photos, run):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    shutil.copy(photos / "disc" / "0000.jpg", photos / "disc" / "copy.jpg")
    Image.new("RGB", (24, 24), "red").save(photos / "disc" / "new.png")
    train(photos, "--out", run, "--resume").refuses("run: this run was made with other pictures", "--out")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_resuming_or_extending_what_is_not_there(train, striate, photos, tmp_path, leftovers):
    train(photos, "--resume").refuses("--resume goes on with the run in --out", "no --out")
    train(photos, "--extend", "1").refuses("--extend goes on with the run in --out", "no --out")
    train(photos, "--extend", "1", "--out", "run").refuses("run: there is no run to extend")
    train(photos, "--resume", "--out", photos).refuses("holds no run of ours")
    assert leftovers(tmp_path) == []
    begun = train(photos, "--resume", "--out", "run")  # a job that was killed before its first file may just go on
    assert begun.code == 0 and "run: holds no run to go on with; a new one begins." in begun.err
    Path("run-1").mkdir()
    mistyped = train(photos, "--resume", "--out", "rum").err
    assert "rum: holds no run to go on with; a new one begins. Did you mean 'run'?" in mistyped
    train(photos, "--extend", "1", "--out", "runs").refuses("runs: there is no run to extend. Did you mean 'run'?")


def test_resuming_with_another_recipe(striate, photos, run):
    train = ("train", photos, "--out", run)
    striate(*train, "--resume", "--batch-size", "7").refuses("differs", "batch_size", "--extend N")
    striate(*train, "--resume", "--epochs", "9").refuses("differs", "epochs")
    striate(*train, "--resume", "--force").refuses("--force starts it over", "one of the two")
    striate(*train).refuses("holds a run already", "--resume", "--force", "--out")
    assert striate(*train, "--resume").code == 0


def test_extending_an_unfinished_run(train, striate, photos, tmp_path, monkeypatch):
    stop_after(monkeypatch, "StepDone")
    assert train(photos, "--out", "run").code == 143
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    striate("train", photos, "--out", "run", "--extend", "1").refuses("not at its end yet", "--resume")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("last.safetensors", b"garbage", ["last.safetensors: is no checkpoint, or is damaged", "--force"]),
        ("last.safetensors", None, ["has no checkpoint (last.safetensors)", "--force"]),
        ("recipe.toml", b"garbage", ["recipe.toml: is not TOML"]),
        ("recipe.toml", b"", ["recipe.toml: is not the recipe that the checkpoint was made with"]),
        ("recipe.toml", None, ["holds no run of ours"]),
        ("metrics.jsonl", None, ["metrics.jsonl: has less than", "--force"]),
        ("metrics.jsonl", b"x" * 100_000, ["metrics.jsonl: is damaged", "--force"]),
        ("model.safetensors", b"garbage", ["model.safetensors: is not a safetensors file"]),
    ],
)
def test_resuming_a_damaged_run(striate, photos, run, file, content, words):
    (run / file).unlink() if content is None else (run / file).write_bytes(content)
    striate("train", photos, "--out", run, "--resume", "--quiet").refuses(*words)


def test_resuming_from_half_a_checkpoint(striate, photos, run):
    whole = (run / "last.safetensors").read_bytes()
    (run / "last.safetensors").write_bytes(whole[:-100])
    striate("train", photos, "--out", run, "--resume").refuses("last.safetensors: is no checkpoint, or is damaged")


def test_what_a_killed_run_left_is_swept_when_it_goes_on(striate, photos, run):
    for name in (".last.safetensors.77-0123abcd.partial", ".tmpA1b2C3"):
        (run / name).write_bytes(b"half")
    assert striate("train", photos, "--out", run, "--resume").code == 0
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def stop_after(monkeypatch: pytest.MonkeyPatch, event: str, do=None) -> None:
    """After the first event of that name do something, or send SIGTERM to this process."""
    import signal

    from striate.cli.progress import TrainingProgress

    shown = TrainingProgress.__call__
    done = []

    def show(self, each):
        shown(self, each)
        if type(each).__name__ == event and not done:
            done.append(event)
            signal.raise_signal(signal.SIGTERM) if do is None else do()

    monkeypatch.setattr(TrainingProgress, "__call__", show)


# What is refused: places to write to


def test_a_read_only_output_folder(train, open_folder, as_nobody, leftovers):
    (open_folder / "mine").mkdir(mode=0o755)
    (open_folder / "secret").mkdir(mode=0o700)
    with as_nobody():
        mine = train(open_folder / "photos", "--out", open_folder / "mine")
        below = train(open_folder / "photos", "--out", open_folder / "mine" / "a" / "b")
        secret = train(open_folder / "photos", "--out", open_folder / "secret" / "run")
        resumed = train(open_folder / "photos", "--out", open_folder / "secret" / "run", "--resume")
    if os.getuid() == 0:
        mine.refuses("mine: cannot be written", "read-only", "--out")
        below.refuses("b: cannot be written", "read-only", "--out")
        secret.refuses("secret/run: permission denied", "may write to")
        resumed.refuses("secret/run: permission denied", "may write to")
    assert leftovers(open_folder) == []


def test_a_read_only_disk(train, photos, small_disk, leftovers):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    train(photos, "--out", small_disk / "run").refuses("disk/run: cannot be written", "read-only", "--out")
    assert leftovers(small_disk) == []


def test_a_run_that_became_read_only(train, striate, open_folder, as_nobody):
    assert train(open_folder / "photos", "--out", open_folder / "run").code == 0
    with as_nobody():
        answer = striate("train", open_folder / "photos", "--out", open_folder / "run", "--extend", "1")
    if os.getuid() == 0:
        answer.refuses("run: cannot be written", "read-only")


def test_an_output_path_that_is_a_file(train, photos, tmp_path, leftovers):
    Path("file").write_text("mine")
    Path("gone").symlink_to("nowhere")
    train(photos, "--out", "file").refuses("file: cannot be a run's folder", "another --out")
    train(photos, "--out", "file", "--force").refuses("file: cannot be a run's folder", "another --out")
    train(photos, "--out", "file", "--resume").refuses("file: cannot be a run's folder", "another --out")
    train(photos, "--out", "file/run").refuses("file/run: cannot be a run's folder, because file is no folder")
    train(photos, "--out", "gone").refuses("gone: cannot be a run's folder")
    train(photos, "--out", photos).refuses("is not empty and holds no run of ours", "another --out")
    train(photos, "--out", "x" * 300).refuses("its name is too long")
    Path("runs").write_text("mine")
    train(photos).refuses("runs/photos-1: cannot be a run's folder, because runs is no folder")
    assert leftovers(tmp_path) == ["runs"] and Path("file").read_text() == Path("runs").read_text() == "mine"


def test_a_full_disk(train, photos, small_disk, fill):
    zeros = fill(small_disk)
    train(photos, "--out", small_disk / "deep" / "run").refuses("cannot write", "the disk is full; free some space")
    train(photos, "--out", small_disk / "run", "--folds", "2").refuses("cannot write", "the disk is full")
    assert list(small_disk.iterdir()) == [zeros]


def test_a_disk_with_room_for_the_recipe_alone(train, photos, small_disk, fill):
    zeros = fill(small_disk)
    os.truncate(zeros, zeros.stat().st_size - (64 << 10))
    train(photos, "--out", small_disk / "run").refuses("cannot write", "last.safetensors: the disk is full")
    assert list(small_disk.iterdir()) == [zeros]


def test_a_disk_that_fills_while_training(train, striate, photos, small_disk, fill, tmp_path, monkeypatch):
    from striate.training import checkpoint

    stop_after(monkeypatch, "EpochDone", lambda: fill(small_disk))
    run = small_disk / "run"
    train(photos, "--epochs", "3", "--out", run, "--quiet").refuses("cannot write", "the disk is full; free some space")
    files = {"last.safetensors", "metrics.jsonl", "model.safetensors", "recipe.toml"}
    assert {path.name for path in run.iterdir()} <= files  # the best model was or was not yet saved, but is no half
    assert checkpoint.read_header(run / "last.safetensors").progress.epoch == 0  # the one of before, whole
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (small_disk / "zeros").unlink()
    done = striate("train", photos, "--out", run, "--resume", "--json")
    assert done.code == 0 and done.json["epochs"] == 3


# What happens between the scan and the training


def test_a_picture_that_vanishes_after_the_scan(train, photos, monkeypatch):
    monkeypatch.setattr("striate.data.reading.available_memory", lambda: 0)  # so that nothing is kept
    stop_after(monkeypatch, "RunStarted", lambda: [path.unlink() for path in (photos / "disc").glob("*.jpg")])
    answer = train(photos, "--quiet")
    answer.refuses("disc/00", ".jpg: there is no such file")


def test_headers_are_looked_at_where_pictures_do_not_fit_into_memory(train, photos, tmp_path, leftovers, monkeypatch):
    monkeypatch.setattr("striate.data.reading.available_memory", lambda: 0)
    whole = (photos / "disc" / "0000.jpg").read_bytes()
    (photos / "disc" / "text.jpg").write_text("no picture")
    train(photos).refuses("disc/text.jpg: not a picture")
    assert leftovers(tmp_path) == []
    (photos / "disc" / "text.jpg").unlink()
    for number in range(12):  # sound headers: found only when their turn comes, and then named
        (photos / "square" / f"cut{number}.jpg").write_bytes(whole[:-40] + bytes([number]))
    train(photos, "--quiet").refuses("square/cut", ".jpg: it is truncated")


# What is accepted, and reported


def test_unreadable_pictures_are_skipped_when_asked(train, striate, photos):
    (photos / "disc" / "text.jpg").write_text("no picture")
    (photos / "disc" / "bomb.png").write_bytes(png_claiming(30_000, 30_000, pixels=b"x"))
    said = "skipped 2 unreadable pictures: disc/bomb.png, disc/text.jpg"
    answer = train(photos, "--skip-unreadable", "--out", "run")
    assert answer.code == 0 and said in answer.err
    answer = striate("evaluate", "run", photos, "--skip-unreadable", "--json")
    assert answer.code == 0 and said in answer.err and answer.json["split"] == "test"
    (photos / "disc" / "text.jpg").unlink()
    (photos / "disc" / "bomb.png").unlink()
    assert striate("evaluate", "run", photos, "--json").json["split"] == "test"  # so they were not among its data


def test_a_class_whose_pictures_all_are_unreadable(train, photos, tmp_path, leftovers):
    for path in (photos / "disc").iterdir():
        path.write_text(f"no picture {path}")
    train(photos, "--skip-unreadable").refuses("none left of 'disc'")
    assert leftovers(tmp_path) == []


def test_empty_class_folders_and_hidden_files_are_passed_over(train, photos):
    plain = train(photos, "--json").json
    (photos / "another").mkdir()
    (photos / ".git").mkdir()
    (photos / "disc" / ".DS_Store").write_bytes(b"\0")
    (photos / "disc" / "._0000.jpg").write_bytes(b"\0")
    (photos / "labels.csv").write_text("a,b")
    Image.new("RGB", (9, 9)).save(photos / "loose.png")
    answer = train(photos, "--json")
    assert answer.code == 0
    for line in (
        "passed over 1 empty class folder: another",
        "passed over 1 picture beside the class folders: loose.png",
        "passed over 3 hidden files or folders: .git, disc/.DS_Store, disc/._0000.jpg",
        "passed over 1 file that is not a picture: labels.csv",
    ):
        assert line in answer.err
    figures = answer.json["test"]
    assert figures == plain["test"]
    assert [row["name"] for row in figures["per_class"]] == ["disc", "square"]


def test_pictures_of_every_kind_side_by_side(train, striate, photos):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    kinds = {"grey.png": "L", "one-bit.png": "1", "palette.gif": "P", "alpha.png": "RGBA", "cmyk.jpg": "CMYK"}
    for name, mode in kinds.items():
        Image.fromarray(pixels).convert("RGB").convert(mode).save(photos / "disc" / name)
    Image.fromarray(pixels.astype(np.uint16) * 257).save(photos / "disc" / "16-bit.png")
    Image.new("RGB", (1, 1), "blue").save(photos / "square" / "1x1.png")
    answer = train(photos, "--out", "run", "--json")
    assert answer.code == 0 and answer.json["images_seen"] + 5 > 24
    named = striate("predict", "run", photos, "--json").json["predictions"]
    assert len(named) == 24 + len(kinds) + 2


def test_all_orientations_are_turned_upright(train, striate, photos, tmp_path):
    """The one target that follows here is the answer; boxes follow in tests/pictures."""
    rng = np.random.default_rng(1)
    upright = Image.fromarray(rng.integers(0, 256, (30, 20, 3), dtype=np.uint8))
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera does that notes this orientation (EXIF tag 274)
    turned = tmp_path / "turned"
    turned.mkdir()
    for orientation in range(1, 9):
        stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        stored.save(turned / f"{orientation}.png", exif=exif)
        stored.save(photos / "disc" / f"{orientation}.png", exif=exif)
    assert train(photos, "--out", "run").code == 0
    answers = striate("predict", "run", turned, "--json").json["predictions"]
    assert [Path(row["image"]).name for row in answers] == [f"{orientation}.png" for orientation in range(1, 9)]
    for row in answers:
        for mine, first in zip(row["classes"], answers[0]["classes"], strict=True):
            assert mine == {**first, "probability": pytest.approx(first["probability"], abs=1e-6)}
    plain = tmp_path / "plain.png"
    Image.open(turned / "6.png").save(plain)  # the same pixels without the note: another picture, another answer
    assert striate("predict", "run", plain, "--json").json["predictions"][0]["classes"] != answers[0]["classes"]


def test_a_cache_that_cannot_be_written_is_no_obstacle(train, photos, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", "/proc/nowhere")
    assert train(photos).code == 0


def test_errors_are_objects_with_json(train, photos):
    answer = train(photos, "--model", "resnt18", "--json")
    answer.refuses("resnt18")
    assert answer.json == {"error": answer.err.removeprefix("striate: ").rstrip("\n")}
    assert json.loads(train("nowhere", "--json").out)["error"].startswith("nowhere: no such file")
    assert set(train(photos, "--batchsize", "3", "--json").json) == {"error"}
