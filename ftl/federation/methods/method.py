"""What a federated method is: a value that says what it does otherwise than FedAvg."""

from collections.abc import Callable
from dataclasses import dataclass

from ftl.models.network import ENCODER
from ftl.models.state import StackedState

ServerStep = Callable[[StackedState, StackedState, StackedState], tuple[StackedState, StackedState]]
"""(model that the round began with, clients' mean, server's memory) -> (model to go on from, server's memory).

All are stacks of one and hold the shared parameters; the memory is empty before the first round, and stays so in
methods without any.
"""


def everything(parameter: str) -> bool:
    """All parameters are shared."""
    return True


def encoder_only(parameter: str) -> bool:
    """The encoder is shared; a client's decoder (of a classifier: its head) never leaves it."""
    return parameter.startswith(ENCODER)


def always(epoch: int, parameter: str) -> bool:
    """All parameters are trained in every epoch of a round."""
    return True


def adopt_mean(before: StackedState, mean: StackedState, memory: StackedState) -> tuple[StackedState, StackedState]:
    """FedAvg's server: the clients' mean is the global model."""
    return mean, memory


@dataclass(frozen=True)
class Method:
    """A federated method. As it stands without arguments it is FedAvg (McMahan et al., 2017; paper, section 3.2).

    Attributes:
        proximal: mu >= 0; mu/2 |w - w_t|^2 is added to each client's loss, w_t being what the client began the round
            with.
        is_shared: Whether the parameter of this name is sent and averaged; the others stay with their client.
        server_step: What the server makes of the clients' mean.
        is_trained: Whether a parameter moves in an epoch, counted within the round from 0.
    """

    proximal: float = 0.0
    is_shared: Callable[[str], bool] = everything
    server_step: ServerStep = adopt_mean
    is_trained: Callable[[int, str], bool] = always
