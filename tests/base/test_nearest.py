from striate.base.nearest import did_you_mean

MODELS = ["lenet5", "fashion_cnn", "resnet18", "resnet34", "efficientnet_lite0"]


def test_nearest_is_named_whatever_its_case():
    assert did_you_mean("EfficientNet-Lite0", MODELS) == " Did you mean 'efficientnet_lite0'?"
    assert did_you_mean("epocs", ["epochs", "batch_size"]) == " Did you mean 'epochs'?"
    assert did_you_mean("usa", ["USA", "France"]) == " Did you mean 'USA'?"


def test_of_equally_near_ones_the_first_is_named():
    assert did_you_mean("lite", ["lite0", "lite1", "lite2"]) == " Did you mean 'lite0'?"
    assert did_you_mean("lite", ["lite2", "lite1", "lite0"]) == " Did you mean 'lite2'?"


def test_nothing_near_is_nothing_said():
    assert did_you_mean("zebra", MODELS) == ""
    assert did_you_mean("lenet5", []) == ""
    assert did_you_mean("", MODELS) == ""
