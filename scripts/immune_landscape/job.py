"""What every rule's script shares: log file, thread limits, readable failures."""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from immune_landscape.errors import UserError


@contextmanager
def running(snakemake: Any, *, airr: bool = False) -> Iterator[logging.Logger]:
    """Run a rule's body with its log open and its failure told in words.

    BLAS is held at one thread because its sums change with the thread count; numba may use
    all threads, as its results do not.

    Parameters
    ----------
    snakemake
        The object that Snakemake injects into a script.
    airr
        Whether the rule's AnnData hold AIRR chains, which are awkward arrays. anndata loads that library wherever it
        is installed, and starts in two thirds of the time without it.

    Yields
    ------
    logging.Logger
        Writes to the rule's log file.
    """
    _limit_threads(snakemake.threads)
    logger = _open_log(str(snakemake.log[0]))
    if not airr:
        sys.modules.setdefault("awkward", cast("ModuleType", None))  # as if it were not installed
    try:
        yield logger
    except UserError as error:
        logger.error("%s", error)
        print(f"{snakemake.rule}: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception:
        logger.error("%s", traceback.format_exc())
        raise
    finally:
        if sys.modules.get("awkward", "") is None:
            del sys.modules["awkward"]
        # The process ends here: looking for garbage among all that was imported takes a tenth of a second.
        gc.freeze()


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["NUMBA_NUM_THREADS"] = str(threads)
    os.environ.setdefault("MPLBACKEND", "Agg")


def _open_log(path: str) -> logging.Logger:
    logging.basicConfig(
        filename=path,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    logging.captureWarnings(True)
    return logging.getLogger("immune_landscape")
