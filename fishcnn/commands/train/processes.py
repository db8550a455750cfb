"""Further processes of a training: how they begin, and what they do.

The first process reads the command line, prepares the data and writes the run folder. The others
are given its settings when the fit begins, so that there is one run folder, one cache and one
message for each error, whoever has started them: this program, torchrun or SLURM. Nothing heavy may
be imported here, as a start of theirs begins with it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fishcnn.utils.errors import FishError
from fishcnn.utils.machine import CPUS, process_rank, usable_cpus
from fishcnn.utils.peers import Leader

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from omegaconf import DictConfig
    from torch._C._distributed_c10d import Store

# Where further processes on this machine find the first one: "HOST PORT KEY".
_LEADER = "FISHCNN_LEADER"
_ADDRESS = "fishcnn/leader"  # names an entry of torch's store, for those on other machines


@dataclass(frozen=True)
class Task:
    """A fit, for the other processes.

    Attributes:
        config: of the run.
        folder: of the run, on the machine of the first process.
        resumed: the checkpoint that the run goes on from.
        finishing: how many epochs were trained where nothing is left to train, else None.
        images: what the images and their split come to, see :func:`~.fit.digest_of_images`.
    """

    config: "DictConfig"
    folder: Path
    resumed: Path | None
    finishing: int | None
    images: str


class _Outside:
    """Of this process: the other processes of torchrun or SLURM, for all jobs of a sweep."""

    leader: Leader | None = None


def launcher() -> "ClusterEnvironment | None":
    """Who has started this process and others beside it; None where that is left to us."""
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    # A script of SLURM that does not call srun is one process, whatever was asked for.
    return (
        SLURMEnvironment() if "SLURM_STEP_ID" in os.environ and SLURMEnvironment.detect() else None
    )


def is_further_process() -> bool:
    """Whether this is not the first process of a fit."""
    return process_rank() > 0


def leader_address() -> tuple[str, int, str]:
    """Where the first process is: its host, the port where it waits, and the key to say."""
    if _LEADER in os.environ:
        host, port, key = os.environ[_LEADER].split()
    else:
        store = _store()
        host, port, key = store.get(_address()).decode().split()
    return host, int(port), key


def started_by_us() -> bool:
    """Whether the first process has started this one, not torchrun or SLURM."""
    return _LEADER in os.environ


@contextmanager
def outside_processes() -> Iterator[None]:
    """Let the processes beside this one that torchrun or SLURM has started find it meanwhile."""
    count = int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or "1")
    outside = launcher() if count > 1 else None
    if outside is None:
        yield
        return
    all_here = os.environ.get("LOCAL_WORLD_SIZE") == str(outside.world_size())  # by torchrun
    leader = Leader(outside.world_size() - 1, everywhere=not all_here)
    host = "127.0.0.1" if all_here else outside.main_address
    store = _store()
    store.set(_address(), f"{host} {leader.port} {leader.key}")
    _Outside.leader = leader
    well = False
    try:
        yield
        well = True
    except SystemExit as error:
        well = not error.code
        raise
    finally:
        _Outside.leader = None
        leader.end(well=well)


def _store() -> "Store":
    """The store that all processes of torchrun or SLURM can reach."""
    from torch.distributed.rendezvous import rendezvous

    outside = launcher()
    if outside is None:
        raise FishError(
            f"this is process {process_rank()} of several, as its environment says (RANK, "
            "SLURM_PROCID or LOCAL_RANK), but neither torchrun nor SLURM has started it: unset them"
        )
    # SLURM leaves them to be computed from its own variables.
    os.environ["MASTER_ADDR"] = outside.main_address
    os.environ["MASTER_PORT"] = str(outside.main_port)
    rank, count = outside.global_rank(), outside.world_size()
    store: Store = next(rendezvous("env://", rank, count))[0]
    return store


def _address() -> str:
    return f"{_ADDRESS}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"


def check_processes(devices: int, nodes: int) -> None:
    """Check that those processes are there, or can be started.

    Args:
        devices: processes on each machine.
        nodes: machines.

    Raises:
        FishError: another number of them was started.
    """
    outside = launcher()
    if outside is None:
        if nodes > 1:
            raise FishError(
                f"trainer.num_nodes={nodes}: start this command on each of the machines, by "
                f"torchrun --nnodes={nodes} --nproc-per-node={devices} --rdzv-backend=c10d "
                "--rdzv-endpoint=HOST:PORT, with the address of one of them, or by srun of SLURM"
            )
        return
    there = outside.world_size()
    if there == devices * nodes:
        return
    each = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE") or "1"
    machines = there // int(each) if each.isdigit() else there
    name = type(outside).__name__.removesuffix("Environment")
    by = {"TorchElastic": "torchrun"}.get(name, name)
    raise FishError(
        f"trainer.devices={devices} trainer.num_nodes={nodes}: {by} has started {each} on each of "
        f"{machines} machines; add trainer.devices={each} trainer.num_nodes={machines}, or let it "
        "start others"
    )


class Others:
    """The other processes of one fit; those that we start live as long as this context."""

    def __init__(self) -> None:
        self._leader: Leader | None = None
        self._before: dict[str, str | None] = {}
        self._threads = 0

    def __enter__(self) -> "Others":
        """Nothing yet; see :meth:`start`."""
        return self

    def start(self, devices: int) -> None:
        """Start processes on this machine until there are as many as devices.

        They import what they need while the first one prepares the data. Each has its share of the
        processors.
        """
        if devices == 1 or launcher() is not None:
            return
        import torch

        share, self._threads = max(1, usable_cpus() // devices), torch.get_num_threads()
        threads = min(share, self._threads)
        torch.set_num_threads(threads)
        leader = self._leader = Leader(devices - 1, everywhere=False)
        from lightning_fabric.plugins.environments.lightning import find_free_network_port

        # So that Lightning takes them for started already, in here as well.
        shared = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(find_free_network_port()),
            "NODE_RANK": "0",
            "WORLD_SIZE": str(devices),
        }
        of_others = {CPUS: str(share), "OMP_NUM_THREADS": str(threads)}
        package = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        there = f"127.0.0.1 {leader.port} {leader.key}"
        for rank in range(1, devices):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": path, _LEADER: there}
            environment = {**os.environ, **shared, **of_others, **own}
            leader.start(rank, [sys.executable, "-m", "fishcnn", "train"], environment)
        for name, value in {**shared, "RANK": "0", "LOCAL_RANK": "0"}.items():
            self._before[name] = os.environ.get(name)
            os.environ[name] = value

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End those that we have started."""
        if self._leader:
            import torch

            self._leader.end(well=kind is None)
            torch.set_num_threads(self._threads)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def begin(self, task: Task) -> None:
        """Let them take part in a fit.

        Raises:
            FishError: one of them has died, or does not come.
        """
        if leader := self._leader or _Outside.leader:
            leader.tell(task)

    def failure(self) -> str | None:
        """Which of them has died, where an exchange with them has failed; None if none has."""
        leader = self._leader or _Outside.leader
        return leader.failure(5.0) if leader else None
