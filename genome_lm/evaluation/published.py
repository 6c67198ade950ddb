"""What the report of 2016 published, to stand beside our figures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """The figures of Zhang and Kamath (2016), shown beside ours: other data and rules, so no target."""

    source: str = "Zhang and Kamath (2016), Learning the Language of the Genome Using RNNs"
    data: str = "DeepSEA, 498 of 919 tasks with >= 1% positives"
    rules: str = "thresholds at probability 0.5, baseline with C = 1e6 on 100 bp"
    n_tasks: int = 498
    wins: int = 408
    wins_share: float = 0.819
    f1_model: float = 0.135
    f1_baseline: float = 0.044
    f1_difference: float = 0.091
    perplexity_model: float = 1.084
    perplexity_prior: float = 1.092
    note: str = "the prior's perplexity is not in the report: it was computed later, on DeepSEA's test set"


REPORT = Report()
