"""Who judges trials: this process, or several beside it."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from ftl.errors import UserError
from ftl.processes import leave_ending_to
from ftl.tuning.pruning import Rivals
from ftl.tuning.trial import TrialResult, Trials, run_trial

Evaluate = Callable[[Sequence[tuple[Mapping[str, Any], Rivals]]], Iterator[TrialResult]]


@contextmanager
def evaluator(trials: Trials, n_workers: int) -> Iterator[Evaluate]:
    """A function from (parameters, rivals) to results, in order: here, or in processes beside this one."""
    if n_workers == 1:
        yield lambda jobs: (run_trial(trials, params, rivals) for params, rivals in jobs)
        return
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    pool = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(),))

    def evaluate(jobs: Sequence[tuple[Mapping[str, Any], Rivals]]) -> Iterator[TrialResult]:
        for future in [pool.submit(run_trial, trials, params, rivals) for params, rivals in jobs]:
            yield future.result()

    try:
        yield evaluate
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            worker.kill()
        raise
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed (out of memory?); finished trials are kept: run the same command again, with "
            "--workers 1 if memory is short"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker(parent: int) -> None:
    os.environ["FTL_WORKERS"] = "1"
    leave_ending_to(parent)
