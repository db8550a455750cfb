"""One of the further processes of a training, from its start to its end."""

import logging
import signal
import warnings

from fishcnn.commands.train.processes import leader_address, started_by_us
from fishcnn.utils import stopping
from fishcnn.utils.machine import process_rank
from fishcnn.utils.peers import tasks


def follow() -> None:
    """Take part in the fits of the first process, until that ends."""
    stopping.answer_preemption()
    import torch.distributed

    from fishcnn.commands.train.fit import fit_along

    # What is to be said, the first process says.
    warnings.simplefilter("ignore")
    logging.getLogger("fishcnn").setLevel(logging.ERROR)
    if started_by_us():
        for name in ("SIGINT", "SIGHUP"):  # of the terminal, which the first process answers
            if number := getattr(signal, name, None):
                signal.signal(number, signal.SIG_IGN)
    for task in tasks(*leader_address(), process_rank()):
        fit_along(task)
        torch.distributed.destroy_process_group()
