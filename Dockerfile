# lrs2m on vLLM's image; docs/run-anywhere.md has the commands. The entry point is the program itself, so that
# `docker stop` reaches it.
ARG BASE=vllm/vllm-openai:v0.33.0
FROM ${BASE}
ARG EXTRAS=hub,openai,transformers
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY lrs2m_builder lrs2m_builder
COPY recipes recipes
COPY prompts prompts
COPY manifests manifests
COPY builds builds
# What the image already has (torch, vllm, transformers) keeps its version.
RUN python3 -m pip freeze > /tmp/kept.txt \
    && python3 -m pip install --no-cache-dir --constraint /tmp/kept.txt ".[${EXTRAS}]"
ENV HF_HOME=/cache VLLM_CACHE_ROOT=/cache/vllm
WORKDIR /
ENTRYPOINT ["lrs2m"]
CMD ["--help"]
