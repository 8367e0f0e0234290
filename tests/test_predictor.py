"""A model file that answers: whatever a picture is, one answer; a folder of any size, a stream."""

import copy
import io
import itertools
import os
import pickle
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from striate import modelfile
from striate.base.errors import DataError, DecodeError, ModelError
from striate.data.records import Classes
from striate.data.unlabelled import pictures_in
from striate.models import build
from striate.pictures.preprocess import Preprocess
from striate.predictor import BATCH_SIZE, Predictor
from tests.conftest import HANGING

PREPROCESS = Preprocess(size=(32, 32))
NAMES = tuple("abcdefg")


def predictor_for(preprocess):
    network = build("resnet18", classes=7, in_channels=preprocess.count, seed=1).eval()
    coarse = torch.randint(0, 256, (32, preprocess.count, 4, 4), generator=torch.Generator().manual_seed(0))
    pictures = coarse.to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.no_grad():  # so that other pictures have quite other answers
        network.fc.weight.mul_(40)
        network.fc.bias.sub_(network(preprocess.normalise(pictures)).mean(0))
    arguments = {"classes": 7, "in_channels": preprocess.count}
    return Predictor(network, modelfile.Description("resnet18", arguments, "classify", Classes(NAMES), preprocess))


@pytest.fixture(scope="module")
def predictor():
    return predictor_for(PREPROCESS)


def drawn(height, width, seed=0):
    """Smooth colours, so that a pixel more or less does not decide."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for number in range(2 * BATCH_SIZE + 3):
        Image.fromarray(drawn(40, 36, number)).save(root / f"{number:03d}.png")
    return root


def close(one, other, most=1e-4):
    return np.abs(one.probabilities - other.probabilities).max() < most


def test_one_picture_a_list_and_a_folder_give_the_same_answers(predictor, folder):
    paths = sorted(folder.iterdir())
    listed = predictor(paths)
    streamed = list(predictor(folder))
    assert [path for path, _ in streamed] == paths
    assert len(listed) == len(paths) and len({scores.name for scores in listed}) > 1
    for path, one, (_, other) in zip(paths, listed, streamed, strict=True):
        assert close(one, other, 1e-6)
        assert close(one, predictor(str(path)), 1e-5)  # alone in its batch


def test_it_is_printed_in_one_line(predictor):
    assert repr(predictor) == f"Predictor(resnet18, {len(NAMES)} classes, 32x32)"


def test_it_says_its_classes_and_of_a_class_alone_nothing_is_drawn(predictor):
    assert predictor.classes == NAMES
    assert predictor.draw(drawn(40, 36), predictor(drawn(40, 36))) is None
    assert "predictor.classes" in Predictor.__call__.__doc__


def test_raw_outputs_are_of_prepared_pictures(predictor, folder):
    for given in (str(next(folder.iterdir())), drawn(40, 36), [torch.zeros(1, 3, 32, 32, dtype=torch.uint8)]):
        with pytest.raises(ModelError, match=r"outputs takes prepared pictures, uint8 \[N, C, H, W\]; for a path"):
            predictor.outputs(given)


def test_the_answer_is_the_networks(predictor):
    pixels = drawn(32, 32)
    window = np.asarray(Image.fromarray(pixels[2:30, 2:30]).resize((32, 32), Image.Resampling.BILINEAR))
    images = (torch.tensor(window) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = torch.softmax(predictor.network(images.permute(2, 0, 1)[None]), 1)[0].numpy()
    np.testing.assert_allclose(predictor(pixels).probabilities, expected, atol=1e-6)


def test_top(predictor, folder):
    scores = predictor(drawn(40, 36))
    best = predictor(drawn(40, 36), top=3)
    assert [answer.name for answer in best] == [NAMES[i] for i in np.argsort(-scores.probabilities)[:3]]
    assert [len(answers) for answers in predictor(sorted(folder.iterdir())[:3], top=2)] == [2, 2, 2]
    assert all(len(answers) == 7 for _, answers in predictor(folder, top=99))


@pytest.mark.parametrize("size", [(40, 36), (130, 110), (300, 420)])  # as it is, reduced by 2 and by 8
def test_the_same_answer_by_path_by_array_and_by_pil(predictor, tmp_path, size):
    pixels = drawn(*size)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    answers = predictor([path, pixels, Image.fromarray(pixels), Image.open(path), np.asfortranarray(pixels)])
    for answer in answers[1:]:
        assert close(answer, answers[0], 1e-6)


def test_a_large_jpeg_answers_alike_by_path_and_by_array(predictor, tmp_path):
    """Its two ways of being reduced differ by roundings only."""
    path = tmp_path / "picture.jpg"
    Image.fromarray(drawn(300, 420)).save(path, quality=95, subsampling=0)
    by_path, by_array, by_pil = predictor([path, np.asarray(Image.open(path)), Image.open(path)])
    assert close(by_path, by_array, 0.05) and close(by_array, by_pil, 1e-6)


def test_arrays_of_every_kind(predictor):
    pixels = drawn(40, 36)
    grey = pixels[:, :, 0]
    answers = predictor([pixels, pixels / np.float32(255), pixels.astype(np.uint16) * 257, pixels / 255.0])
    assert all(close(answer, answers[0], 1e-6) for answer in answers)
    as_grey = predictor([grey, grey[:, :, None], np.repeat(grey[:, :, None], 3, 2), Image.fromarray(grey)])
    assert all(close(answer, as_grey[0], 1e-6) for answer in as_grey)
    opaque = np.dstack([pixels, np.full((40, 36), 255, np.uint8)])
    assert close(predictor(opaque), answers[0], 1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "F", "YCbCr"])
def test_pil_images_of_every_mode_answer_as_their_files_do(predictor, tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(drawn(40, 36)[:, :, 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(drawn(40, 36)[:, :, 0] / np.float32(255))
    else:
        image = Image.fromarray(drawn(40, 36)).convert(mode)
    path = tmp_path / ("picture.tif" if mode in ("CMYK", "F", "YCbCr") else "picture.png")
    image.save(path)
    by_path, by_pil = predictor([path, image])
    assert close(by_path, by_pil, 1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pil_image_is_turned_upright(predictor, orientation):
    # Where rows and columns of the upright picture lie in the file: EXIF 2.32, tag 274.
    upright = drawn(30, 44)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(file, "PNG", exif=exif)
    assert close(predictor(Image.open(file)), predictor(upright), 1e-6)


def test_bands(tmp_path):
    five = predictor_for(Preprocess(channels=5, mean=(0.5,), scale=(0.5,), size=(32, 32)))
    bands = np.dstack([drawn(40, 36, 1), drawn(40, 36, 2)[:, :, :2]])
    pages = [Image.fromarray(bands[:, :, band]) for band in range(5)]
    pages[0].save(tmp_path / "bands.tif", save_all=True, append_images=pages[1:])
    one, other = five([bands, tmp_path / "bands.tif"])
    assert close(one, other, 1e-6)
    with pytest.raises(DataError, match="3 bands where 5 bands were expected"):
        five(drawn(40, 36))


def test_streaming_is_lazy(predictor):
    """A stream without end: only so many pictures are taken as are needed to keep the decoders busy."""
    taken = itertools.count()

    def endless():
        for seed in itertools.cycle(range(5)):
            next(taken)
            yield drawn(40, 36, seed)

    stream = predictor.stream(endless())
    assert next(taken) == 0  # nothing was taken before the first answer is asked for
    for _ in range(BATCH_SIZE + 1):
        next(stream)
    assert next(taken) <= 1 + 4 * BATCH_SIZE
    stream.close()


def test_what_cannot_be_read_is_named(predictor, folder, tmp_path):
    good = sorted(folder.iterdir())[:2]
    bad = tmp_path / "bad.jpg"
    bad.write_text("no photograph")
    for what in (bad, str(bad), [good[0], bad], tmp_path):
        with pytest.raises(DecodeError, match=r"bad\.jpg"):
            list(predictor(what))
    with pytest.raises(DecodeError, match="no such file"):
        predictor(tmp_path / "gone.png")


def test_what_cannot_be_read_is_left_out_if_asked(predictor, folder, tmp_path):
    data = tmp_path / "photos"
    data.mkdir()
    good = sorted(folder.iterdir())[: BATCH_SIZE + 2]
    for path in good:
        shutil.copy(path, data)
    for name in ("000a.png", "999.png"):
        (data / name).write_text("no photograph")
    errors = []
    answered = list(predictor.stream(sorted(data.iterdir()), on_unreadable=errors.append))
    assert [path.name for path, _ in answered] == [path.name for path in good]
    assert [str(error.path).rpartition("/")[2] for error in errors] == ["000a.png", "999.png"]
    bad_and_good = [*[data / "000a.png"] * (2 * BATCH_SIZE), good[0]]  # whole batches without an answer
    ((path, _),) = predictor.stream(bad_and_good, on_unreadable=errors.append)
    assert path == good[0]


def test_a_damaged_pil_image_is_an_unreadable_picture(predictor, tmp_path):
    file = io.BytesIO()
    Image.fromarray(drawn(40, 36)).save(file, "PNG")
    (tmp_path / "cut.png").write_bytes(file.getvalue()[:-400])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(DecodeError, match=r"cut\.png.*truncated"):
        predictor(image)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (3, "not int"),
        (b"bytes", "the picture's bytes: not a picture: it is a text file"),
        (b"", "the picture's bytes: it is empty"),
        ("", "path is empty"),
        ([""], "path is empty"),
        ("a\0b.png", "null byte"),
        (io.BytesIO(b"bytes"), "a file's bytes.* not BytesIO"),
        ({"a": 1}, "not dict"),
        (np.zeros((2, 4, 4, 3), np.uint8), "shape"),
        (np.zeros(7, np.uint8), "shape"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        (np.full((4, 4), 300.0), "floats from 0 to 300"),
        (np.full((4, 4), np.nan), "16 of its 16 numbers are NaN or infinite"),
        (np.ma.masked_greater(np.zeros((4, 4)), -1), "mask is not used"),
        (Image.new("I", (4, 4), 248), "32-bit integers"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4, 7), np.uint8), "7 bands"),
    ],
)
def test_what_is_no_picture_is_refused(predictor, picture, words):
    with pytest.raises(DataError, match=words):
        predictor(picture)


def test_empty(predictor, tmp_path):
    assert predictor([]) == []
    assert list(predictor.stream([])) == []
    with pytest.raises(DataError, match="holds no pictures"):
        list(predictor(tmp_path))


def test_a_folder_is_walked_in_order_without_what_is_hidden(tmp_path):
    for name in ("b/2.jpg", "b/1.PNG", "a/9.webp", "c.jpeg", ".hidden/x.jpg", "b/.x.jpg", "b/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in pictures_in(tmp_path)]
    assert found == ["c.jpeg", "a/9.webp", "b/1.PNG", "b/2.jpg"]


def test_links_to_folders_are_followed_but_not_up(tmp_path):
    """As training follows them; also two that lead to each other."""
    for name in ("data/a/1.jpg", "far/b/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    for link, target in (("data/far", "far"), ("far/b/back", "data/a"), ("data/a/on", "far/b"), ("data/up", "data")):
        (tmp_path / link).symlink_to(tmp_path / target)
    found = [path.relative_to(tmp_path / "data").as_posix() for path in pictures_in(tmp_path / "data")]
    assert found == ["a/1.jpg", "a/on/2.jpg", "far/b/2.jpg", "far/b/back/1.jpg"]


def test_outputs_are_what_the_answers_are_made_of(predictor):
    pixels = np.stack([drawn(32, 32, seed) for seed in range(3)])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = predictor.network(PREPROCESS.normalise(images))
    found = predictor.outputs(images)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    with pytest.raises(ModelError, match="expected uint8 images"):
        predictor.outputs(images.float())


def test_answering_leaves_the_network_as_it_was(predictor):
    predictor.network.train()
    try:
        once = predictor(drawn(40, 36))
        assert predictor.network.training
        assert close(predictor(drawn(40, 36)), once, 1e-7)
    finally:
        predictor.network.eval()


def test_what_comes_before_an_unreadable_picture_is_answered(predictor, folder, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("no picture")
    first, second = sorted(folder.iterdir())[:2]
    answered = predictor.stream([first, broken, second])
    assert next(answered)[0] == first
    with pytest.raises(DecodeError, match="broken"):
        next(answered)


class Named:
    """A path of somebody's own."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


def test_a_files_bytes_and_any_path_are_pictures(predictor, folder):
    path = min(folder.iterdir())
    data = path.read_bytes()
    pictures = [data, bytearray(data), memoryview(data), Named(str(path)), Named(bytes(path))]
    expected = predictor(path)
    for each in (*predictor(pictures), *map(predictor, pictures)):
        assert close(each, expected, 1e-5)
    assert [found for found, _ in predictor(Named(str(folder)))] == sorted(folder.iterdir())


def test_nothing_is_not_the_current_folder(predictor, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert len(list(predictor("."))) == len(list(folder.iterdir()))
    for pictures in (lambda: predictor(""), lambda: predictor(Named("")), lambda: list(pictures_in(""))):
        with pytest.raises(DataError, match=r"path is empty.*'\.'"):
            pictures()


@pytest.mark.parametrize("top", [0, -1, 2.5, True, "3", np.float32(2)])
def test_top_is_a_number_of_answers(predictor, folder, top):
    pixels = drawn(40, 36)
    for ask in (
        lambda: predictor(pixels, top=top),
        lambda: predictor([pixels], top=top),
        lambda: next(predictor(folder, top=top)),
        lambda: next(predictor.stream([pixels], top=top)),
    ):
        with pytest.raises(ModelError, match=r"top is .*expected how many"):
            ask()
    assert len(predictor(pixels, top=np.int64(2))) == 2


def without_end(image):
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()[:-2]


def test_what_was_odd_is_told_once(predictor, tmp_path):
    heard = []
    predictor = Predictor(predictor.network, predictor.description, on_notice=heard.append)
    for number in range(BATCH_SIZE + 1):
        Image.fromarray(drawn(40, 36, number)[:, :, 0].astype(np.uint16) * 16).save(tmp_path / f"{number}.png")
    list(predictor(tmp_path))
    assert len(heard) == 1 and f"the 16-bit pictures ({BATCH_SIZE + 1}) use less than a sixteenth" in heard.pop()
    Image.fromarray(drawn(40, 36)[:, :, 0].astype(np.uint16) * 257).save(tmp_path / "bright.png")
    list(predictor(tmp_path))
    assert heard == []  # so the others are only dark
    predictor(drawn(40, 36)[:, :, 0].astype(np.uint16))
    assert "16-bit" in heard.pop()
    data = without_end(Image.fromarray(drawn(40, 36)))
    assert close(predictor(data), predictor(data + b"\xff\xd9"), 1e-7)
    assert "lack their end marker" in heard.pop() and heard == []


def pickled(predictor):
    return pickle.loads(pickle.dumps(predictor))  # noqa: S301 - our own


# Four of the eight have every two of these; the others are left to `make test-all`.
COPIES = [
    pytest.param(copied, answered, heard, marks=[pytest.mark.slow] * ((copied is pickled) ^ answered ^ bool(heard)))
    for copied, answered, heard in itertools.product((copy.deepcopy, pickled), (False, True), (None, lambda text: None))
]


@pytest.mark.parametrize(("copied", "answered", "heard"), COPIES)
def test_a_copy_answers_alike(predictor, copied, answered, heard):
    predictor, pixels = Predictor(predictor.network, predictor.description, on_notice=heard), drawn(40, 36)
    if answered:
        predictor(pixels)
    twin = copied(predictor)
    assert twin.network is not predictor.network and twin.device == predictor.device
    assert (twin(pixels).probabilities == predictor(pixels).probabilities).all()
    assert (copied(twin)(pixels).probabilities == predictor(pixels).probabilities).all()


def test_a_copy_holds_no_more_than_the_weights():
    predictor = predictor_for(PREPROCESS)
    fresh = len(pickle.dumps(predictor))
    weights = sum(tensor.numel() * tensor.element_size() for tensor in predictor.network.state_dict().values())
    predictor(drawn(40, 36))
    assert len(pickle.dumps(predictor)) == fresh < 1.01 * weights


def test_threads_with_two_sizes_get_the_answers_of_their_own():
    """In the middle of one thread's first answer another asks for another size, which SAME pads otherwise."""
    described = modelfile.Description(
        "mobilenet_v1_025", {"classes": 7, "in_channels": 3}, "classify", Classes(NAMES), PREPROCESS
    )
    predictor = Predictor(build("mobilenet_v1_025", classes=7, seed=1).eval(), described)
    images = [torch.randint(0, 256, (1, 3, side, side + 5), dtype=torch.uint8) for side in (32, 41)]
    with torch.inference_mode():
        expected = [predictor.network(PREPROCESS.normalise(each)) for each in images]
    folded = predictor._answer

    class Interrupted(type(folded)):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if others:
                thread = threading.Thread(target=predictor.outputs, args=(others.pop(),))
                thread.start()
                thread.join()

    folded.__class__, others = Interrupted, [images[1]]
    for place in (0, 1, 0, 1):
        answer = predictor.outputs(images[place])
        torch.testing.assert_close(answer, expected[place], rtol=1e-3, atol=1e-6)
    assert others == []


FORKED = """
import os, signal, sys, time
import numpy as np
import torch
from striate import Predictor, Preprocess
from striate.data.records import Classes
from striate.modelfile import Description
from striate.models import build

def fork(name):
    arguments, preprocess = {"classes": 3, "in_channels": 3}, Preprocess(size=(64, 64))
    described = Description(name, arguments, "classify", Classes(tuple("abc")), preprocess)
    predictor = Predictor(build(name, classes=3, seed=0).eval(), described)
    torch.set_num_threads(2)  # on one core, too, so that OpenMP has threads which a child lacks
    pictures = [np.full((64, 64, 3), value, np.uint8) for value in range(0, 240, 30)]
    before = [each.probabilities for each in predictor(pictures)]
    child = os.fork()
    if child == 0:
        after = [each.probabilities for each in predictor(pictures)]
        again = [each.probabilities for each in Predictor(predictor.network, described)(pictures)]
        same = np.allclose(before, after, atol=1e-6) and np.allclose(before, again, atol=1e-6)
        os._exit(0 if same and torch.get_num_threads() == 1 else 3)
    end = time.monotonic() + hanging
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        sys.exit(f"{name}: the child hangs")
    assert torch.get_num_threads() == 2
    if code := os.waitstatus_to_exitcode(ended[1]):
        sys.exit(f"{name}: the child ends with {code}")

hanging, *names = sys.argv[1:]
hanging = float(hanging)
for name in names:
    fork(name)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_answers():
    told = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", FORKED, str(HANGING), "resnet18", "efficientnet_lite0"]
    ended = subprocess.run(command, env=told, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
