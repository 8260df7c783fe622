"""Values that the shell completes on Tab; each is looked up only then."""

from __future__ import annotations


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    from lrs2m_builder.declared.shipped import shipped_names

    return shipped_names("recipes")


def source_names() -> list[str]:
    """Names of the shipped sources."""
    from lrs2m_builder.declared.shipped import shipped_names

    return shipped_names("manifests")


def build_file_names() -> list[str]:
    """Names of the shipped settings files of builds."""
    from lrs2m_builder.declared.shipped import shipped_names

    return shipped_names("builds")


def engines() -> list[str]:
    """Names of the engines."""
    from lrs2m_builder.engines import engine_names

    return engine_names()


def configs() -> list[str]:
    """Names of the training configurations."""
    from lrs2m_builder.train.named_configs import CONFIGS

    return list(CONFIGS)


def models() -> list[str]:
    """Short names of published models."""
    from lrs2m_builder.evals.baselines import baselines

    return list(baselines())


def experiments() -> list[str]:
    """Names of the experiments, and "all"."""
    from lrs2m_builder.experiments.registry import EXPERIMENTS

    return [*EXPERIMENTS, "filtering", "all"]
