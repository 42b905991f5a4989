"""Studies: parameters are proposed by Optuna and judged without a look at the test part."""

from ftl.tuning.outcome import Outcome, finish_study
from ftl.tuning.plan import StudyPlan, plan_study
from ftl.tuning.settings import TuneSettings, tune_settings, with_tune_section
from ftl.tuning.storage import study_storage
from ftl.tuning.study import TrialFact, best_trial, open_study, run_study

__all__ = [
    "Outcome",
    "StudyPlan",
    "TrialFact",
    "TuneSettings",
    "best_trial",
    "finish_study",
    "open_study",
    "plan_study",
    "run_study",
    "study_storage",
    "tune_settings",
    "with_tune_section",
]
