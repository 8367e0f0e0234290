"""Lists of classes: numbers that stand at the wrong end of a line are refused, and those of names are not."""

import re

import pytest

from striate.base.errors import DataError
from striate.data.sources.class_table import read_table

MISPLACED = {
    "index behind": (
        "car 2\nsky 0\nroad 1\n",
        (
            "classes.txt:1: 'car 2' has a number behind the name, as 3 of 3 lines have; if it is the index, write it "
            "in front, as '2 car'; if it belongs to the name, write the index in front of that, as '0 car 2'"
        ),
    ),
    "index behind a colon": ("car: 2\nsky: 0\nroad: 1\n", "if it is the index, write it in front, as '2 car'"),
    "index behind a comma": ("car,2\nsky,0\nroad,1\n", "as '2 car'"),
    "index behind a tab": ("sky\t0\nroad\t1\n", "as '0 sky'"),
    "index behind most": ("sky\nroad 1\ncar 2\n", "classes.txt:2: 'road 1' has a number behind the name, as 2 of 3"),
    "index and 255 behind": ("sky 0\nroad 1\nvoid 255\n", "as '0 sky'"),
    "two indices behind": ("sky 0 255\nroad 1 0\n", "as '0 sky 255'"),
    "colour behind": ("sky 0 0 0\nroad 1 1 1\n", "classes.txt:1: 'sky 0 0 0' has its colour behind the name; write it"),
    "colour behind commas": ("sky,70,130,180\nroad,1,1,1\n", "write it in front, as '70 130 180 sky'"),
    "colour behind one": ("70 130 180 sky\nroad 1 1 1\n", "classes.txt:2: 'road 1 1 1' has its colour behind the name"),
    "parts of one behind": ("sky 0.5 0.5 0.5\n", "has its colour behind the name"),
    "colour and alpha behind": ("sky 0 0 0 255\n", "has its colour behind the name; expected a class, as 'sky'"),
    "hexadecimal behind": ("sky #4682b4\n", "write it in front, as '#4682b4 sky'"),
    "index in front and colour behind": ("0 sky 70 130 180\n", "has its colour behind the name"),
    "colour in parts of one": (
        "0.0 0.0 0.0 sky\n0.5 0.5 0.5 road\n1.0 1.0 1.0 car\n",
        "classes.txt:1: the colour is '0.0 0.0 0.0'; expected three numbers from 0 to 255, as '0 0 0 sky'",
    ),
    "colour in parts of one for some": ("0 0 0 sky\n0.5 0 .25 road\n", "classes.txt:2: the colour is '0.5 0 .25'"),
    "alpha in front": (
        "0 0 0 255 sky\n1 1 1 255 road\n",
        "classes.txt:1: has 4 numbers in front of the name; expected",
    ),
    "below zero": ("-1 void\n0 sky\n1 road\n", "classes.txt:1: the index is -1; expected one from 0 on, and 255 is"),
}

NAMES = {
    "told apart by numbers": ["class 1", "class 2", "class 3"],
    "counted from 0, with another": ["background", "class 0", "class 1"],
    "far apart": ["Route 66", "Highway 1", "Route 101"],
    "aircraft": ["Boeing 747", "Airbus 320", "Cessna 172"],
    "one of many": ["sky", "Leopard 2", "road"],
    "numbers in front": ["0.5 litre bottle", "can"],
    "numbers within": ["type 2 car", "type 3 car"],
    "glued": ["car2", "sky0", "road1"],
    "the same": ["formula 1", "league 1"],
}


@pytest.mark.parametrize("kind", MISPLACED)
def test_numbers_at_the_wrong_end_of_a_line_are_refused(tmp_path, kind):
    text, said = MISPLACED[kind]
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        read_table(path, "classes.txt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", NAMES)
def test_numbers_of_names_stay_with_them(tmp_path, kind):
    path = tmp_path / "classes.txt"
    path.write_text("\n".join(NAMES[kind]))
    table = read_table(path, "classes.txt")
    assert table.names == tuple(NAMES[kind])
    assert table.values == tuple(range(len(NAMES[kind])))


def test_an_index_in_front_settles_what_the_number_behind_is(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("1 Leopard 2\n0 Tiger 1\n")
    table = read_table(path, "classes.txt")
    assert (table.names, table.values) == (("Tiger 1", "Leopard 2"), (0, 1))
