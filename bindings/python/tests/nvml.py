"""A stand-in for NVIDIA's library, whose GPUs draw a constant power."""

import shutil
from pathlib import Path
from typing import Any

import pytest

#: Power of each GPU in watts.
POWER_W = 250.0

_BUILT = Path(__file__).parents[3] / "target/debug"
# tests of Rust build it among their dependencies, `cargo build` beside the programs
_LIBRARIES = (_BUILT / "deps/libnvml_mock.so", _BUILT / "libnvml_mock.so")


def staged(folder: Path, gpus: int, name: str = "NVIDIA A100-SXM4-80GB") -> dict[str, str] | None:
    """Environment in which wattlaw finds this many GPUs; `None` where the stand-in was not built."""
    library = next((path for path in _LIBRARIES if path.is_file()), None)
    if library is None:
        return None
    shutil.copy(library, folder / "libnvidia-ml.so.1")
    gpu = '[[gpus]]\nuuid = "GPU-{}"\nname = "{}"\npower_w = [[0.0, {}]]\n'
    (folder / "script.toml").write_text("".join(gpu.format(index, name, POWER_W) for index in range(gpus)))
    return {"WATTLAW_NVML": str(folder / "libnvidia-ml.so.1"), "WATTLAW_SYSFS": str(folder / "no-sysfs")}


def check_energy(record: dict[str, Any], gpus: int) -> None:
    """Checks that a record has the energy of its GPUs, but for the 0.1 s that the counter's updates cut at either end."""
    [energy] = record["energies"]
    power_w = gpus * POWER_W
    assert energy["energy_j"] == pytest.approx(power_w * record["duration_s"], abs=power_w * 0.2)
