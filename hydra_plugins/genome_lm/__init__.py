"""What Hydra can find by itself: it instantiates plugins of the namespace `hydra_plugins` only."""

from genome_lm.sweeping.ray_launcher import LauncherOnRay
from genome_lm.sweeping.sweeper import SweepThatGoesOn


class ResumingSweeper(SweepThatGoesOn):
    """Chosen by conf/hydra/sweeper/resuming.yaml."""


class RayLauncher(LauncherOnRay):
    """Chosen by conf/hydra/launcher/ray.yaml."""
