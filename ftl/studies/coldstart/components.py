"""The detectors that a joining node can have, and what each says of the node's rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ftl.baselines.pca import PrincipalComponents, leading_components
from ftl.models.state import StackedState, join, repeat, take
from ftl.randomness import derive_seed
from ftl.sharing import FleetScale
from ftl.studies.alarms import Alarming, Scored
from ftl.studies.cohort import Reference, Shared, divergence_of, own_scale, strangeness_of, unmuted
from ftl.studies.coldstart.joining import Joining
from ftl.studies.coldstart.settings import ColdStartSettings
from ftl.studies.layers import layer_divergence, layer_profile, layers_to_freeze
from ftl.studies.stacks import Models, Recipe, fit_models

UNFREEZE_AT = 3.0
"""A layer is unfrozen on a node that diverges there this many times as far as a usual participant."""


@dataclass(frozen=True)
class Fitted:
    """One kind of model, of every joining node.

    Attributes:
        models: Stacked in the order of the nodes, or a single one for all of them.
        own_scale: Whether it reads rows in the node's own scale instead of the fleet's.
        reference: What the cohort shares beside it; None where nothing is.
        n_steps: Gradient steps that each node made.
        seconds: CPU seconds of them, of one node.
    """

    models: Models
    own_scale: bool
    reference: Reference | None
    n_steps: int
    seconds: float


@dataclass(frozen=True)
class JoiningModels:
    """What is known of every joining node.

    Attributes:
        divergence: Of the global model from each node's known rows.
        strangeness: The same of the feature in the middle, :func:`ftl.studies.cohort.strangeness_of`.
        layers: Per node, the divergence of each encoder layer.
        frozen: Per node, the encoder layers that selective fine-tuning leaves as they are.
        fitted: By kind of model.
    """

    joining: Sequence[Joining]
    shared: Shared
    divergence: list[float]
    strangeness: list[float]
    layers: list[np.ndarray]
    frozen: list[tuple[int, ...]]
    fitted: dict[str, Fitted]

    def scored(self, kind: str, number: int, alarming: Alarming) -> Scored:
        """Scores of a kind of model on a node: `local`, `zero_shot` .. of the fitted ones, or a PCA."""
        one = self.joining[number]
        if kind == "pca":
            return self._own_components(one, own_scale(one.history, self.shared.scale), None, alarming)
        if kind == "pca_fleet":
            return self._own_components(one, self.shared.scale, self.shared.components_reference, alarming)
        if kind == "federated_pca":
            components, reference = self.shared.components, self.shared.components_reference
            if one.rehearsal:
                components = self.shared.components_of_others[one.node.node]
            return _scored(one, self.shared.scale, components.residual, reference, alarming)
        fitted = self.fitted[kind]
        position = 0 if fitted.models.network.n_nodes == 1 else number
        scale = own_scale(one.history, self.shared.scale) if fitted.own_scale else self.shared.scale
        return _scored(one, scale, lambda x: fitted.models.residual(position, x), fitted.reference, alarming)

    def _own_components(
        self, one: Joining, scale: FleetScale, reference: Reference | None, alarming: Alarming
    ) -> Scored:
        rows = one.node.scaled(one.history, scale).astype(np.float64)
        centred = rows - rows.mean(axis=0)
        components = PrincipalComponents(rows.mean(axis=0), leading_components(centred.T @ centred / len(rows)))
        return _scored(one, scale, components.residual, reference, alarming)


def _scored(
    one: Joining,
    scale: FleetScale,
    residual_of: Callable[[np.ndarray], np.ndarray],
    reference: Reference | None,
    alarming: Alarming,
) -> Scored:
    """Scores of a node by what a model leaves over of its rows in a scale, calibrated by the cohort where it shares."""
    known = unmuted(one.node, residual_of(one.node.scaled(one.history, scale)))
    judged = unmuted(one.node, residual_of(one.node.scaled(one.judged, scale)))
    variance = alarming.own_variance(known)
    if reference is not None:
        variance = alarming.calibrated_variance(known, reference.variance)
    return Scored(alarming.score(known, variance, one.history_time), alarming.score(judged, variance, one.judged_time))


def fit_joining(
    joining: Sequence[Joining],
    kinds: Sequence[str],
    shared: Shared,
    start: StackedState,
    recipe: Recipe,
    settings: ColdStartSettings,
    seed: int,
    like: JoiningModels | None = None,
) -> JoiningModels:
    """Train the kinds of models that are asked for on every joining node's known rows; a PCA needs no training here.

    Args:
        start: What local models begin with.
        like: Participants that have joined so before; by what is usual among them at the same length of history,
            encoder layers are frozen or not. Where they have not, by what is usual among whole histories.
    """
    if not joining:
        return JoiningModels((), shared, [], [], [], [], {})
    in_fleet = [one.node.scaled(one.history, shared.scale) for one in joining]
    in_own = [one.node.scaled(one.history, own_scale(one.history, shared.scale)) for one in joining]
    seeds = [derive_seed(seed, "joining", one.node.node, str(one.hours)) for one in joining]
    received, fresh = repeat(shared.state, len(joining)), repeat(start, len(joining))
    n_features = in_fleet[0].shape[1]
    global_model = Models(recipe, shared.state, n_features)
    profiles = [layer_profile(global_model, 0, rows) for rows in in_fleet]
    layers = [layer_divergence(profile, shared.layers) for profile in profiles]
    usual = _usual_layers(joining, layers) if like is None else _usual_layers(like.joining, like.layers)
    frozen = [
        layers_to_freeze(layer, usual.get(one.hours, shared.layer_divergence), UNFREEZE_AT)
        for one, layer in zip(joining, layers, strict=True)
    ]
    every_layer = tuple(range(len(shared.layers.layers)))

    def tuned(which: Sequence[tuple[int, ...]], n_steps: int, learning_rate: float | None = None) -> Fitted:
        states, seconds = _fit_by_frozen(recipe, received, in_fleet, seeds, which, n_steps, learning_rate)
        return Fitted(Models(recipe, states, n_features), False, shared.reference, n_steps, seconds)

    def local(rows: Sequence[np.ndarray], own: bool) -> Fitted:
        fit = fit_models(recipe, fresh, rows, seeds, settings.local_steps)
        reference = None if own else shared.reference
        seconds = fit.seconds / len(joining)
        return Fitted(Models(recipe, fit.state, n_features), own, reference, settings.local_steps, seconds)

    none, all_of_it = [every_layer] * len(joining), [()] * len(joining)
    makers = {
        "local": lambda: local(in_own, own=True),
        "local_fleet": lambda: local(in_fleet, own=False),
        "weights_only": lambda: Fitted(Models(recipe, shared.own_state, n_features), True, None, 0, 0.0),
        "zero_shot": lambda: Fitted(global_model, False, shared.reference, 0, 0.0),
        "few_steps": lambda: tuned(all_of_it, settings.few_steps, settings.few_steps_learning_rate),
        "transfer": lambda: tuned(none, settings.fine_tune_steps),
        "full_fine_tune": lambda: tuned(all_of_it, settings.fine_tune_steps),
        "selective": lambda: tuned(frozen, settings.fine_tune_steps),
    }
    variance, divergence, strangeness = shared.reference.variance, [], []
    for one, rows in zip(joining, in_fleet, strict=True):
        residual = unmuted(one.node, global_model.residual(0, rows))
        divergence.append(divergence_of(residual, variance))
        strangeness.append(strangeness_of(residual, variance, one.node.muted))
    fitted = {kind: makers[kind]() for kind in kinds if kind in makers}
    return JoiningModels(joining, shared, divergence, strangeness, layers, frozen, fitted)


def _usual_layers(joining: Sequence[Joining], layers: Sequence[np.ndarray]) -> dict[float | None, np.ndarray]:
    """Of rehearsing participants, the divergence of each encoder layer by length of history, (N, layers)."""
    found: dict[float | None, list[np.ndarray]] = {}
    for one, layer in zip(joining, layers, strict=True):
        if one.rehearsal:
            found.setdefault(one.hours, []).append(layer)
    return {hours: np.stack(of) for hours, of in found.items()}


def _fit_by_frozen(
    recipe: Recipe,
    received: StackedState,
    rows: Sequence[np.ndarray],
    seeds: Sequence[int],
    frozen: Sequence[tuple[int, ...]],
    n_steps: int,
    learning_rate: float | None,
) -> tuple[StackedState, float]:
    """Nodes that freeze the same layers train in one stack; the states come back in the order of the nodes."""
    parts, order, seconds = [], [], 0.0
    for which in sorted(set(frozen)):
        some = [number for number, own in enumerate(frozen) if own == which]
        fit = fit_models(
            recipe,
            take(received, some),
            [rows[n] for n in some],
            [seeds[n] for n in some],
            n_steps,
            learning_rate,
            which,
        )
        parts.append(fit.state)
        order += some
        seconds += fit.seconds
    back = np.argsort(order)
    return take(join(parts), back.tolist()), seconds / len(rows)
