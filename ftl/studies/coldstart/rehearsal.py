"""Participants rehearse what a newcomer will do, so that it knows what scores to expect of normal rows.

A node with two hours of history cannot tell how its scores will spread over a day: its own percentile is far too low,
and every row of the next morning is an alarm. Participants can: each takes the first hours of its own history for all
of it, makes every detector of those rows alone, and scores later rows of its own. The percentile of these scores is one
number per length of history and detector, and the median over participants is the level that a newcomer uses. No
label is looked at.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ftl.studies.alarms import Alarming, Scored

Levels = dict[str, float]


def rehearsed_levels(scores: Sequence[Mapping[str, Scored]], alarming: Alarming) -> Levels:
    """Per detector the median over participants of the percentile of its scores on rows behind the history.

    Args:
        scores: Of each participant, by detector.
    """
    return {kind: float(np.median([alarming.level(one[kind].judged) for one in scores])) for kind in scores[0]}


def levels_of_own(scores: Mapping[str, Scored], alarming: Alarming) -> Levels:
    """Where nobody has rehearsed a history of this length: the percentile of the node's own known rows."""
    return {kind: alarming.level(scored.known) for kind, scored in scores.items()}
