"""The shipped manifests of the paper's eleven subsets hold what its Table I says, and how to get their data."""

from __future__ import annotations

import pytest

from lrs2m_builder.declared.manifest import Manifest, load_manifest
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.declared.shipped import shipped_names
from tests.toy import ROOT

# Table I of the paper: pairs, mean tokens of the long and the short texts, what made each, and the recipe.
TABLE = {
    "millionaid": (920057, 77.39, 20.73, "VHM", "RS5M", "merge"),
    "crowdai": (276344, 91.57, 36.74, "VHM", "Qwen2.5", "long_to_short"),
    "cvact": (44416, 82.39, 39.14, "VHM", "InternLM2.5", "long_to_short"),
    "cvusa": (44416, 83.81, 38.23, "VHM", "InternLM2.5", "long_to_short"),
    "fmow": (81224, 82.37, 32.26, "VHM", "InternLM2.5", "long_to_short"),
    "loveda": (23948, 83.00, 39.14, "VHM", "GLM-4", "long_to_short"),
    "bigearthnet": (344385, 195.66, 65.77, "Qwen2-VL", "RS5M", "short_to_long"),
    "det10": (110794, 174.40, 12.75, "Qwen2-VL", "Det-10", "short_to_long"),
    "seg4": (41171, 179.53, 14.56, "LLaVA-OneVision", "Seg-4", "short_to_long"),
    "ucmerced": (9430, 207.17, 13.11, "LLaVA-OneVision", "UCMerced", "short_to_long"),
    "openlandmap": (127533, 171.10, 45.42, "Qwen2-VL", "Qwen2.5", "vector_anchored"),
}
HUB = {
    "Qwen2.5": "Qwen/Qwen2.5-",
    "InternLM2.5": "internlm/internlm2_5-",
    "GLM-4": "zai-org/glm-4-",
    "Qwen2-VL": "Qwen/Qwen2-VL-",
    "LLaVA-OneVision": "llava-hf/llava-onevision-",
}


def maker(manifest: Manifest, writes: str) -> str:
    """What the paper says wrote a text."""
    assert manifest.paper is not None
    return manifest.paper.long_from if writes == "caption_long" else manifest.paper.short_from


def test_the_rows_of_table_one_add_up_to_what_is_known_of_it() -> None:
    assert sum(row[0] for row in TABLE.values()) == 2_023_718  # the paper states 2,023,688


@pytest.mark.parametrize("name", sorted(TABLE))
def test_a_subset_of_the_paper_states_its_row_of_table_one(name: str) -> None:
    paper = load_manifest(name).paper
    assert paper is not None
    stated = (paper.pairs, paper.mean_tokens_long, paper.mean_tokens_short, paper.long_from, paper.short_from)
    assert stated == TABLE[name][:5]


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_step_of_a_subset_has_the_model_of_the_paper(name: str) -> None:
    manifest = load_manifest(name)
    steps = load_recipe(TABLE[name][5]).steps
    roles = {step.role for step in steps}
    assert {role for role in ("mllm", "llm") if getattr(manifest.models, role)} == roles
    for step in steps:
        assert getattr(manifest.models, step.role).startswith(HUB[maker(manifest, step.writes)])


@pytest.mark.parametrize("name", shipped_names("manifests"))
def test_a_shipped_manifest_says_licence_home_citation_viewpoint_and_how_to_get_it(name: str) -> None:
    manifest = load_manifest(name)
    texts = (manifest.title, manifest.license, manifest.citation, manifest.get, manifest.texts_from)
    assert all(len(text.split()) >= 1 and "todo" not in text.lower() for text in texts)
    assert manifest.homepage.startswith(("http://", "https://"))
    assert "viewpoint" in manifest.model_fields_set
    assert any(year in manifest.citation for year in map(str, range(2005, 2027)))
    assert "folder" in manifest.get or "images/" in manifest.get


def test_the_guide_names_every_subset_with_its_recipe_and_the_papers_models() -> None:
    lines = [line for line in (ROOT / "docs" / "lrs2m.md").read_text().splitlines() if line.startswith("| `")]
    for name, (*_, recipe) in TABLE.items():
        line = next(line for line in lines if f"`{name}`" in line.split("|")[1])
        models = load_manifest(name).models
        assert all(model in line for model in (models.mllm, models.llm) if model), line
        assert f"`{recipe}`" in line.split("|")[2], line
