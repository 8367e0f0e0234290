"""Whole numbers on the command line are whole."""

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ("train", "photos", "--epochs", "1.9"),
        ("train", "photos", "--epochs=1.9"),
        ("train", "photos", "--batch-size", "2.7"),
        ("train", "photos", "--task", "upscale", "--factor", "2.5"),
        ("train", "photos", "--crop-size", "32", "32.5"),
        ("train", "photos", "--workers", "0.6"),
        ("train", "photos", "--folds", "inf"),
        ("train", "photos", "--seed", "nan"),
        ("predict", "model", "picture", "--tile", "15.9"),
        ("evaluate", "model", "data", "--workers", "1e-1"),
        ("bench", "--batch-size", "1.5"),
    ],
)
def test_a_fraction_is_refused_by_its_option(striate, words):
    option, _, value = " ".join(words).rpartition(" --")[2].replace("=", " ").partition(" ")
    striate(*words).refuses(f"--{option} is {value.split()[-1]}; expected a whole number")


def test_others_may_be_fractions_and_whole_ones_written_as_such(striate):
    words = ("--epochs", "2.0", "--rate-floor", "0.5", "--scale", "0.5", "1.5", "--workers", "1")
    striate("train", "fotos", *words).refuses("fotos: no such file or folder")


def test_a_batch_is_a_number_or_left_to_the_run(striate):
    striate("train", "photos", "--batch-size", "big").refuses("--batch-size is big; expected a whole number, or auto")
    striate("train", "fotos", "--batch-size", "auto").refuses("fotos: no such file or folder")
