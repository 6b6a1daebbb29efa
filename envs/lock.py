"""Resolve envs/*.in into hash-locked requirements, and the conda files with the same pins.

One file serves every supported Python: environment markers pick the versions. The libraries of a GPU have other names
for each CUDA and hold numba and pandas back, so those locks stand apart, one for each CUDA, each for one Python. No
registry host is written, so the locks work behind any mirror. overrides.txt leaves out of the first what is asked for
and not used.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).resolve().parent
OLDEST_PYTHON, CONDA_PYTHON = "3.11", "3.12"
GROUPS = {
    "core": "anndata celltypist decoupler faiss-cpu h5py harmonypy igraph illico jsonschema loguru"
    " matplotlib numba numpy olga pandas pydeseq2 pygments pynndescent pyyaml scanpy scikit-image scikit-learn scipy"
    " seaborn snakemake statsmodels threadpoolctl",
    "receptors": "anndata h5py jsonschema matplotlib numpy olga pandas pygments pyyaml scanpy scipy scirpy seaborn"
    " snakemake threadpoolctl",
}
GPU_PYTHONS = {"gpu-cuda12": "3.11", "gpu-cuda13": "3.12"}
GPU_PLATFORM = "x86_64-manylinux_2_28"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?$", re.MULTILINE)


def main() -> None:
    """Rewrite uv.txt, cpu.txt, workers.txt, dev.txt, the locks for GPUs and the conda files."""
    for name in ("uv", "cpu", "workers", "dev"):
        resolve(name, ["--universal", "--python-version", OLDEST_PYTHON, "--overrides", "overrides.txt"])
    for name, python in GPU_PYTHONS.items():
        resolve(name, ["--python-version", python, "--python-platform", GPU_PLATFORM])
    pins = conda_pins((ENVS / "cpu.txt").read_text(encoding="utf-8"))
    for group in GROUPS:
        (ENVS / f"{group}.yaml").write_text(render_conda(group, pins), encoding="utf-8")


def resolve(name: str, target: list[str]) -> None:
    """Resolve one requirements file for the Pythons and platforms of a target."""
    command = ["uv", "pip", "compile", *target, "--generate-hashes", "--no-emit-index-url"]
    command += ["--upgrade", "--quiet", "--custom-compile-command", "make lock"]
    subprocess.run([*command, f"{name}.in", "--output-file", f"{name}.txt"], cwd=ENVS, check=True)


def conda_pins(lock: str) -> dict[str, str]:
    """Return package -> version of a lock for the Python of the conda environments."""
    pins = {}
    for name, version, marker in PIN.findall(lock):
        if not marker or _serves_conda(marker):
            pins[name.lower()] = version
    return pins


def _serves_conda(marker: str) -> bool:
    from packaging.markers import Marker

    environment = {
        "python_version": CONDA_PYTHON,
        "python_full_version": f"{CONDA_PYTHON}.0",
        "sys_platform": "linux",
    }
    return Marker(marker.strip()).evaluate(environment)


def render_conda(group: str, pins: dict[str, str]) -> str:
    """Return a conda environment file with the pins of one group of software."""
    lines = [
        "# Written by `make lock`: the pins of cpu.txt for `--sdm conda`.",
        "channels:",
        "  - conda-forge",
    ]
    lines += ["  - nodefaults", "dependencies:", f"  - python ={CONDA_PYTHON}", "  - pip", "  - pip:"]
    return "\n".join(lines + [f"      - {name}=={pins[name]}" for name in GROUPS[group].split()]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
