"""Going on with a search by its folder: ``tune.study=``.

Read before Hydra composes anything, so nothing heavy may be imported here.
"""

from collections.abc import Sequence
from importlib.util import find_spec

from fishcnn.commands.train.own_settings import key_of
from fishcnn.utils.machine import user_path
from fishcnn.utils.run_folder import JOURNAL

_SETTING = "tune.study"


def typed_for_study(arguments: Sequence[str]) -> list[str]:
    """What was typed for the last start of the search that is named; nothing for a new one.

    Args:
        arguments: the command line, without the program.

    Raises:
        FishError: its journal is damaged.
    """
    named = [word.partition("=")[2].strip("'\"") for word in arguments if key_of(word) == _SETTING]
    folder = user_path(named[-1]).absolute() if named and named[-1] else None
    if not folder or not (folder / JOURNAL).is_file() or not find_spec("optuna"):
        return []
    from fishcnn.commands.tune.study import Search

    search = Search(folder, (), wanted=0, random_trials=1, seed=0, pruning=None)
    # A list in place of low and high was made of what was typed, and will be again.
    lists = {key_of(word) for word in search.typed if word.startswith("++")}
    return [word for word in search.typed if word[0] != "~" or key_of(word) not in lists]
