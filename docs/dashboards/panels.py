"""The panels of the dashboard, once for the W&B workspace and for the picture: which metrics, shown how."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Curves:
    """Metrics over epochs, a line a run and metric."""

    title: str
    keys: tuple[str, ...]
    over: str = "epoch"


@dataclass(frozen=True)
class Bars:
    """Summary figures side by side, a bar a run and metric; of one metric, the mean a model if `by_model`."""

    title: str
    keys: tuple[str, ...]
    by_model: bool = False


@dataclass(frozen=True)
class Scatter:
    """Two summary figures against each other, a point a run."""

    title: str
    x: str
    y: str


@dataclass(frozen=True)
class Table:
    """A logged table; `columns` are those that the picture has room for."""

    title: str
    key: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Pictures:
    """Logged pictures, as they are."""

    title: str
    keys: tuple[str, ...]


Panel = Curves | Bars | Scatter | Table | Pictures

SECTIONS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Training",
        (
            Curves("Validation perplexity and the prior's", ("valid/perplexity", "valid/prior_perplexity")),
            Curves("Skill on validation", ("valid/skill",)),
            Curves("Training perplexity", ("train/perplexity",)),
        ),
    ),
    (
        "Models",
        (
            Bars("Best skill on validation, by model", ("best/valid_skill",), by_model=True),
            Scatter("Parameters and best validation perplexity", "parameters", "best/valid_perplexity"),
            Bars("Windows a second in training, by model", ("windows_per_second",), by_model=True),
        ),
    ),
    (
        "Test: network against k-mer regression (no run is chosen by it)",
        (
            Bars("Tasks won, tied and lost in F1", ("test/wins", "test/ties", "test/losses")),
            Bars("Difference in mean F1", ("test/f1/difference",)),
            Bars("Skill on test", ("test/skill/model", "test/skill/baseline")),
        ),
    ),
    (
        "Tasks",
        (
            Table(
                "All tasks",
                "tasks",
                ("target", "cell", "group", "test_f1_model", "test_f1_baseline", "test_f1_difference"),
            ),
            Pictures("Figures", ("figures/f1_model_against_baseline", "figures/f1_differences")),
        ),
    ),
)


def keys_of(panel: Panel) -> set[str]:
    """The keys that a panel reads."""
    if isinstance(panel, Curves):
        return {*panel.keys, panel.over}
    if isinstance(panel, Bars | Pictures):
        return set(panel.keys)
    if isinstance(panel, Scatter):
        return {panel.x, panel.y}
    return {panel.key}


def all_keys() -> set[str]:
    """The keys that the dashboard reads."""
    return {key for _, panels in SECTIONS for panel in panels for key in keys_of(panel)}
