"""Typed roots of the configuration: what Hydra checks names and values against.

The values that a run takes are in `conf/`; the defaults here only say what a key means and which type it has.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from genome_lm.choices import (
    Backend,
    EndPolicy,
    HeadKind,
    Launcher,
    LeakPolicy,
    LongPolicy,
    NormKind,
    NPolicy,
    OptimizerKind,
    PairPolicy,
    PenaltyChoice,
    PoolingKind,
    Protocol,
    Resident,
    ScheduleKind,
    SourceKind,
    Storage,
    StrandEncoding,
    TableLayout,
    TaskKind,
    TaskWeighting,
)


class Accelerator(StrEnum):
    """Where to compute; `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Precision(StrEnum):
    """Number format of the forward and backward pass."""

    float32 = "32-true"
    bf16 = "bf16-mixed"
    fp16 = "16-mixed"


class Resume(StrEnum):
    """`auto`: go on with what is in the run folder, or begin there; null: begin."""

    auto = "auto"


class LoggerName(StrEnum):
    """Where to log besides `metrics.csv`, which is always written."""

    csv = "csv"
    wandb = "wandb"
    tensorboard = "tensorboard"


@dataclass
class TasksConfig:
    """Which tasks to use, on top of the minimal rate of positives; empty lists mean all."""

    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


@dataclass
class DataConfig:
    """Dataset, slices and batches."""

    path: str | None = None  # null: the embedded dataset
    context_bp: int = MISSING
    min_positive_rate: float = MISSING
    tasks: TasksConfig = field(default_factory=TasksConfig)
    train_fraction: float = MISSING
    max_shift_bp: int = MISSING
    reverse_complement: bool = MISSING
    batch_size: int = MISSING
    eval_batch_size: int = MISSING
    num_workers: int = MISSING
    resident: Resident = MISSING
    feature_cache_mib: int = MISSING  # memory that kept window features may take, MiB


@dataclass
class ModelConfig:
    """The encoder; its keys are the constructor arguments of the class that `_target_` names."""

    name: str = MISSING
    encoder: dict[str, Any] = MISSING
    init_from: str | None = None  # a checkpoint whose tokenizer, stem and encoder to start from
    init_leak: LeakPolicy = LeakPolicy.refuse  # of a start that was trained on what is held out now


@dataclass
class HeadConfig:
    """Dropout before and after the encoder, pooling, normalisation, and outputs per task."""

    pooling: list[PoolingKind] = MISSING
    centre: float = MISSING  # share of the states that centre_mean and centre_max take
    norm: NormKind = MISSING
    kind: HeadKind = MISSING
    dropout: float = MISSING
    input_dropout: float = MISSING


@dataclass
class OptimizerConfig:
    """How the weights are changed."""

    name: OptimizerKind = MISSING
    learning_rate: float = MISSING
    weight_decay: float = MISSING
    embedding_decay: float = MISSING
    warmup_fraction: float = MISSING
    schedule: ScheduleKind = MISSING


@dataclass
class TrainerConfig:
    """Devices, length and precision of the training."""

    max_epochs: int = MISSING
    max_time: str | None = None  # DD:HH:MM:SS
    accelerator: Accelerator = MISSING
    devices: int | None = MISSING  # a node; null: all GPUs of this machine, or as many as were started
    launcher: Launcher = MISSING
    num_nodes: int | None = 1  # null: as many as torchrun or srun have started
    backend: Backend = MISSING
    timeout_seconds: int = MISSING
    precision: Precision = MISSING
    gradient_clip_norm: float = MISSING
    threads: int | None = None
    keep_freed_memory: bool = MISSING
    log_every_n_steps: int = MISSING
    limit_train_batches: int | None = None
    limit_val_batches: int | None = None
    progress_bar: bool | None = None  # null: only on a terminal


@dataclass
class LoggerConfig:
    """Where to log besides `metrics.csv`."""

    name: LoggerName = MISSING
    project: str = MISSING
    entity: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class CallbacksConfig:
    """Early stopping and checkpoints, both on `valid/perplexity`, and averaging of the weights."""

    ema_decay: float = MISSING
    norm_windows: int = MISSING  # on which the head's statistics are measured anew before each validation
    early_stopping: bool = MISSING
    patience: int = MISSING
    min_delta: float = MISSING
    save_last: bool = MISSING
    save_every_minutes: float | None = None  # last.ckpt within an epoch; null: not by time
    save_every_steps: int | None = None  # the same by optimiser steps


@dataclass
class HeldOutConfig:
    """Regions of a FASTA that are not trained on, as in `SplitsConfig`; null: those of the dataset."""

    valid: list[str] | None = None
    test: list[str] | None = None
    buffer_bp: int = 1000


@dataclass
class TaskConfig:
    """What is trained: labels, or (all further keys) the sequence itself."""

    name: TaskKind = MISSING
    weighting: TaskWeighting = TaskWeighting.uniform  # of the labels' tasks in the training loss
    fasta: str | None = None  # null: the stored bases of the dataset
    regions: HeldOutConfig = field(default_factory=HeldOutConfig)
    markov_order: int = 10  # the longest context of the Markov chains, bp


@dataclass
class TrainConfig:
    """Root of `conf/train.yaml`."""

    task: TaskConfig = field(default_factory=TaskConfig)
    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: dict[str, Any] = MISSING
    stem: dict[str, Any] = MISSING
    window_features: dict[str, Any] = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    seed: int = MISSING
    strand_encoding: StrandEncoding = MISSING
    average_strands: bool = MISSING
    ckpt_path: str | None = None  # a checkpoint, a run folder, or last: of the newest run below runs_dir
    resume: Resume | None = None
    run_dir: str | None = None
    run_name: str = MISSING
    runs_dir: str = MISSING
    allowed_packages: list[str] = MISSING


@dataclass
class BaselineConfig:
    """The k-mer logistic regression."""

    contexts_bp: list[int] = MISSING
    penalty_choice: PenaltyChoice = MISSING
    cache_dir: str | None = None


@dataclass
class ScoringConfig:
    """Which tasks are scored, and in which batches."""

    min_positive_rate: float = MISSING
    batch_size: int = MISSING
    accelerator: Accelerator = MISSING
    threads: int | None = None
    devices: int = MISSING
    average_strands: bool | None = None  # null: as in training
    track: bool = MISSING  # add the result to the W&B or TensorBoard run of the training
    ensemble: bool = MISSING  # of several checkpoints


@dataclass
class BootstrapConfig:
    """Resampling of blocks of the genome, for intervals and tests."""

    resamples: int = MISSING  # 0: no intervals and no tests
    test_resamples: int = MISSING
    block_bp: list[int] = MISSING
    level: float = MISSING
    seed: int = MISSING


@dataclass
class ProtocolConfig:
    """Thresholds, and the baseline's penalty and context."""

    name: Protocol = MISSING
    baseline_context_bp: int | None = None  # null: the network's own


@dataclass
class EvaluateDataConfig:
    """The dataset, where it is not the one that the checkpoint names."""

    path: str | None = None


@dataclass
class EvaluateConfig:
    """Root of `conf/evaluate.yaml`."""

    ckpt_path: Any = None  # a path or a list; null: the best checkpoint of the newest run below runs_dir
    runs_dir: str = MISSING
    output_dir: str | None = None  # null: the checkpoint's run folder, or beside the runs of several
    data: EvaluateDataConfig = field(default_factory=EvaluateDataConfig)
    evaluate: ScoringConfig = field(default_factory=ScoringConfig)
    baseline: BaselineConfig = field(default_factory=BaselineConfig)
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    allowed_packages: list[str] = MISSING


@dataclass
class SplitsConfig:
    """Regions ("chr20:40,000,000-48,000,000") or whole chromosomes ("chr8") of each split."""

    valid: list[str] = MISSING
    test: list[str] = MISSING
    buffer_bp: int = MISSING


@dataclass
class SubsetConfig:
    """Windows of each split to draw by seed; null takes all."""

    train: int | None = None
    valid: int | None = None
    test: int | None = None


@dataclass
class SourceConfig:
    """What is prepared; all keys but the name are DeepSEA's files'."""

    name: SourceKind = MISSING
    folder: str | None = MISSING  # null where the source has none
    train: str = "train.mat"
    valid: str = "valid.mat"
    test: str = "test.mat"
    task_names: str | None = None
    pairs: PairPolicy = PairPolicy.fold
    subset: SubsetConfig = field(default_factory=SubsetConfig)


@dataclass
class PrepareConfig:
    """Root of `conf/prepare.yaml`."""

    source: SourceConfig = field(default_factory=SourceConfig)
    fasta: str | None = MISSING  # null where the source has none
    manifest: str | None = MISSING
    output: str = MISSING
    genome_build: str = MISSING
    bin_bp: int = MISSING
    min_coverage: float = MISSING
    min_positives: int = MISSING
    window_bp: int = MISSING
    n_policy: NPolicy = MISSING
    end_policy: EndPolicy = MISSING
    blacklist: str | None = None
    splits: SplitsConfig = field(default_factory=SplitsConfig)
    background_per_positive: float = MISSING
    seed: int = MISSING
    storage: Storage = MISSING
    strict: bool = MISSING
    overwrite: bool = MISSING
    progress_bar: bool | None = None  # null: only on a terminal


@dataclass
class PredictingConfig:
    """How `predict` computes."""

    batch_size: int = MISSING
    accelerator: Accelerator = MISSING
    threads: int | None = None
    average_strands: bool | None = None  # null: as in training


@dataclass
class PredictConfig:
    """Root of `conf/predict.yaml`."""

    ckpt_path: str | None = None  # also a run folder; null: the newest run below runs_dir
    runs_dir: str = MISSING
    fasta: str = MISSING
    bed: str | None = None  # null: every record of the FASTA
    output: str = MISSING
    layout: TableLayout = MISSING
    only_calls: bool = MISSING
    overwrite: bool = MISSING
    long: LongPolicy = MISSING
    stride_bp: int | None = None  # null: the network's context
    thresholds: str = MISSING  # auto, none or a probability
    tasks: TasksConfig = field(default_factory=TasksConfig)
    data: EvaluateDataConfig = field(default_factory=EvaluateDataConfig)
    predict: PredictingConfig = field(default_factory=PredictingConfig)
    progress_bar: bool | None = None  # null: only on a terminal
    allowed_packages: list[str] = MISSING
