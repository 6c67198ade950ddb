"""Settings that a training's outcome does not depend on: places, names, and how it is computed."""

INCIDENTAL: dict[str, frozenset[str]] = {
    "": frozenset({"allowed_packages", "logger", "resume", "run_dir", "run_name", "runs_dir"}),
    "data": frozenset({"feature_cache_mib", "num_workers", "resident"}),
    "model": frozenset({"init_leak"}),
    "callbacks": frozenset({"save_every_minutes", "save_every_steps"}),
    "trainer": frozenset(
        {
            "accelerator",
            "backend",
            "compile",
            "devices",
            "keep_freed_memory",
            "launcher",
            "matmul_precision",
            "num_nodes",
            "progress_bar",
            "threads",
            "timeout_seconds",
        }
    ),
}
"""By section of the configuration; "" is its root. They may change when a run or a sweep goes on, and between
runs that are seeds of one configuration."""
