"""Where the configuration files are."""

from pathlib import Path


def config_dir() -> Path:
    """The folder `conf`: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
