"""A stand-in for NVIDIA's library, whose GPUs draw a constant power."""

import os
import shutil
from pathlib import Path

#: Power of each GPU in watts.
POWER_W = 250.0

_LIBRARY = Path(os.environ.get("WATTLAW_NVML_STANDIN", Path(__file__).parents[3] / "target/debug/libnvml_mock.so"))


def staged(folder: Path, gpus: int, name: str = "NVIDIA A100-SXM4-80GB") -> dict[str, str] | None:
    """Environment in which wattlaw finds this many GPUs; `None` where the stand-in was not built."""
    if not _LIBRARY.is_file():
        return None
    shutil.copy(_LIBRARY, folder / "libnvidia-ml.so.1")
    gpu = '[[gpus]]\nuuid = "GPU-{}"\nname = "{}"\npower_w = [[0.0, {}]]\n'
    (folder / "script.toml").write_text("".join(gpu.format(index, name, POWER_W) for index in range(gpus)))
    return {"WATTLAW_NVML": str(folder / "libnvidia-ml.so.1"), "WATTLAW_SYSFS": str(folder / "no-sysfs")}
