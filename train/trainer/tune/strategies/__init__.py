"""The strategies, by name."""

from trainer.tune.experiments import Strategy
from trainer.tune.strategies.data_scaling import DataScaling
from trainer.tune.strategies.early_stop import EarlyStop
from trainer.tune.strategies.greedy import Greedy
from trainer.tune.strategies.hybrid import Hybrid
from trainer.tune.strategies.hyperband import Hyperband
from trainer.tune.strategies.literature_only import Literature
from trainer.tune.strategies.model_scaling import ModelScaling

DEFAULT = "hybrid"
STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Greedy(),
        EarlyStop(),
        ModelScaling(),
        DataScaling(),
        Hyperband(),
        Literature(),
        Hybrid(),
    )
}
