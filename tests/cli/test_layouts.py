"""What the start of a training says of its classes, and folders one level too high."""

import shutil


def test_the_start_names_the_classes(train, photos):
    assert "2 classes: disc, square\n" in train(photos).err


def test_of_many_classes_the_first_ten_and_how_many(train, photos):
    for number in range(10):
        for picture in (photos / "disc").glob("000[0-4].*"):
            copy = photos / f"kind{number}" / picture.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(picture.read_bytes() + bytes([number]))  # another picture, as far as copies go
    answer = train(photos, "--split", "0.6", "0.2", "0.2")
    assert "12 classes: disc, kind0, kind1, kind2, kind3, kind4, kind5, kind6, kind7, kind8 and 2 more\n" in answer.err


def test_training_and_testing_are_splits(train, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "brain" / "Training")
    shutil.copytree(photos, tmp_path / "brain" / "Testing")
    answer = train("brain")
    assert "(2 for validation, 24 for the test)" in answer.err and "2 classes: disc, square\n" in answer.err


def test_one_folder_too_high(train, photos, tmp_path, leftovers):
    shutil.move(photos, tmp_path / "data" / "photos")
    train("data").refuses("data holds pictures in one folder only, photos", "give data/photos instead")
    assert leftovers(tmp_path) == []
    assert train("data/photos").code == 0


def test_classes_that_are_called_like_splits(train, striate, photos):
    (photos / "disc").rename(photos / "test")
    train(photos).refuses("split folders (test) and others", f"give {photos} with --format classes")
    answer = train(photos, "--format", "classes")
    assert answer.code == 0 and "2 classes: square, test\n" in answer.err
    evaluated = striate("evaluate", "runs/photos-1", photos, "--format", "classes", "--json").json
    assert (evaluated["split"], evaluated["images"]) == ("test", 2)


def test_such_a_run_goes_on_without_the_flag(train, striate, photos):
    (photos / "disc").rename(photos / "test")
    train(photos, "--format", "classes")
    answer = striate("train", photos, "--out", "runs/photos-1", "--extend", "1")
    assert answer.code == 0 and "2 classes: square, test\n" in answer.err
