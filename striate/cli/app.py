"""The command ``striate``: its verbs, and what becomes of errors.

Exit codes: 0 fine; 2 the user's mistake, one paragraph on stderr; 1 ours, with a traceback; 130 and 143 after Ctrl-C
and SIGTERM.
"""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnusedCliTokensError

from striate import __version__
from striate.base.errors import StriateError
from striate.cli.console import print_error
from striate.cli.whole_numbers import refuse_fractions

app = App(
    name="striate",
    version=__version__,
    help="From a folder of photographs to a model that answers.",
    help_epilogue="Start with: striate train FOLDER. Where FOLDER holds one folder of pictures a class, it trains a "
    "classifier (efficientnet_lite0); where it holds pictures with their boxes, a detector (tood/efficientnet_lite0); "
    "where it holds pictures with their masks, a network for segmentation (unet/efficientnet_lite0); and of any "
    "pictures, with --task upscale, a network for super-resolution (espcn).",
    suppress_keyboard_interrupt=False,  # main says what was saved, and exits with the signal's own code
    config=refuse_fractions,
)
VERBS = {
    "train": ("train:train", "Train a network on a folder of pictures.", None),
    "evaluate": ("evaluate:evaluate", "Measure a model on labelled pictures.", None),
    "predict": ("predict:predict", "Say what is on pictures, or enlarge them.", "[OPTIONS] MODEL IMAGES [MORE...]"),
    "models": ("models:models", "List the networks, or one network's layers.", "[OPTIONS] [NAME]"),
    "import": ("import_:import_", "Turn another framework's weights into a model file.", None),
    "show": ("show:show", "Show what a network would be fed.", None),
    "convert": ("convert:convert", "Write a data set of boxes in another format.", None),
    "plan": ("plan:plan", "Say what a network takes, and what would fit, before it runs.", None),
    "bench": ("bench:bench", "Measure how fast this machine trains and answers.", "[OPTIONS] [MODELS...]"),
}
"""Where each verb's function is, what it does, and its arguments where cyclopts would call them ARGS."""

for verb, (place, what, arguments) in VERBS.items():
    usage = f"Usage: striate {verb} {arguments}" if arguments else None
    app.command(f"striate.cli.{place}", name=verb, help=what, help_epilogue="", usage=usage)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` without its first word if None); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except UnusedCliTokensError as error:
        extra = " ".join(error.unused_tokens or ())
        print_error(f"nothing more was expected, but there is {extra!r} ({_help(words)} shows what there is)", words)
        return 2
    except CycloptsError as error:
        from striate.cli.wrong_options import explained  # which knows all settings

        text = explained(error) or str(error).replace('Command "', "").replace('" parameter ', ": ")
        print_error(f"{text} ({_help(words)} shows what there is)", words)
        return 2
    except StriateError as error:
        print_error(str(error), words)
        return 2
    except KeyboardInterrupt as stop:
        print_error(str(stop) or "stopped", words)
        return 128 + getattr(stop, "signal", 2)
    except BrokenPipeError:  # Whoever read our output has gone.
        sys.stderr.close()
        return 0
    return 0


def _help(words: Sequence[str]) -> str:
    """The command whose help has the options that these words may have meant."""
    return f"striate {words[0]} --help" if words and words[0] in VERBS else "striate --help"
