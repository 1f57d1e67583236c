# The image of every process of the service. LOCK=gpu adds torch with CUDA.
FROM python:3.12.11-slim-bookworm AS build
ARG LOCK=serve
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY .ci/lock/build.txt .ci/lock/${LOCK}.txt ./
# The locks name each distribution with the hashes of its files; the service's own code is the only thing without one.
RUN python -m venv /opt/gonogo \
    && /opt/gonogo/bin/pip install --require-hashes -r "${LOCK}.txt" \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
COPY web web
COPY worker worker
COPY training training
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/gonogo/bin/pip install --no-deps --no-index dist/*.whl

FROM python:3.12.11-slim-bookworm
# The id is fixed, so that a volume keeps its owner over rebuilds.
RUN groupadd --gid 10001 gonogo \
    && useradd --uid 10001 --gid gonogo --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gonogo \
    && install -d -o gonogo -g gonogo -m 0700 /data
COPY --from=build /opt/gonogo /opt/gonogo
ENV PATH=/opt/gonogo/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /data
USER 10001:10001
CMD ["python", "-m", "web.server"]
