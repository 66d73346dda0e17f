"""The processes of a job: on what device this one works, and in which groups it exchanges."""

import os
import sys
from dataclasses import dataclass, field

import torch
import torch.distributed as dist

from .job import Parallelism
from .launch import Launch
from .refused import Refused


@dataclass
class Ranks:
    """This process among those of the job. Tensor-parallel ranks are neighbours, then those of one shard group."""

    launch: Launch
    parallelism: Parallelism
    device: torch.device
    mesh: object = field(default=None, repr=False)

    @property
    def first(self) -> bool:
        return self.launch.rank == 0

    @property
    def several(self) -> bool:
        return self.launch.size > 1

    @property
    def dp_rank(self) -> int:
        return self.launch.rank // self.parallelism.tp

    def synchronize(self) -> None:
        """Waits until this device has done its work and all ranks have come so far."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        if self.several:
            # by the CPUs, since the devices are done
            dist.all_reduce(torch.zeros(1))

    def agree(self, yes: bool) -> bool:
        """What rank 0 says, told to all by their CPUs, so that no device has to be waited for."""
        if not self.several:
            return yes
        said = torch.tensor([yes], dtype=torch.uint8)
        dist.broadcast(said, 0)
        return bool(said.item())

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean over data-parallel ranks; tensor-parallel ones hold the same value."""
        if self.several:
            value = value.clone()
            dist.all_reduce(value)
        return value / self.launch.size


def join(launch: Launch, parallelism: Parallelism, device: str) -> Ranks:
    """Joins the other ranks; `device` is `auto`, `cpu` or `cuda`.

    Raises Refused where the device is not there.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cuda" and not found:
        raise Refused("--device cuda: torch finds no CUDA device here; use --device cpu, or a machine that has one")
    if device == "cpu" or not found:
        place = torch.device("cpu")
    else:
        if launch.local_size > found:
            raise Refused(
                f"each rank needs a GPU of its own; torchrun started {launch.local_size} here and torch finds {found}"
            )
        place = torch.device("cuda", launch.local_rank)
        torch.cuda.set_device(place)
    ranks = Ranks(launch, parallelism, place)
    if ranks.several:
        # gloo beside NCCL, for what the CPUs tell each other
        dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo")
        ranks.mesh = mesh(parallelism, place.type)
    return ranks


def mesh(p: Parallelism, kind: str):
    """The grid of ranks; a degree of one has no dimension in it."""
    from torch.distributed.device_mesh import init_device_mesh

    if p.data == "hsdp":
        sizes = {"replicate": p.dp // p.shard_group, "shard": p.shard_group}
    else:
        sizes = {"dp": p.dp} if p.dp > 1 else {}
    if p.tp > 1:
        sizes["tp"] = p.tp
    return init_device_mesh(kind, tuple(sizes.values()), mesh_dim_names=tuple(sizes))


def leave(launch: Launch) -> None:
    """Leaves the other ranks. A rank of several ends here, with 0: what it had to write is written."""
    if launch.size > 1:
        dist.destroy_process_group()
        # threads of torch's process groups that are still there now and then abort a process that ends as others do
        # ("terminate called without an active exception")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
