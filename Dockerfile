# The image of ADCE: a flow run on ECS, the worker that starts flow runs (what it does by default), and the `adce` command.
# Pin PYTHON_IMAGE by digest where you build it: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir --disable-pip-version-check uv==${UV_VERSION}
ENV UV_PROJECT_ENVIRONMENT=/opt/adce UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
WORKDIR /build
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --locked --no-dev --no-install-project
COPY config config
COPY tasks tasks
COPY blocks blocks
COPY flows flows
COPY deployments deployments
RUN uv sync --locked --no-dev --no-editable

FROM ${PYTHON_IMAGE}
RUN useradd --create-home --uid 10001 --user-group adce
COPY --from=build /opt/adce /opt/adce
COPY deployments/ecs/base-job-template.json /etc/adce/
ENV PATH=/opt/adce/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PREFECT_HOME=/home/adce/.prefect \
    PREFECT_LOGGING_EXTRA_LOGGERS=flows,tasks,blocks \
    PREFECT_LOGGING_COLORS=false \
    PREFECT_WORKER_WEBSERVER_HOST=127.0.0.1
USER 10001:10001
WORKDIR /home/adce
# ECS goes by the health check of its task definition, not by this one: say it there too. Of the worker only.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health', timeout=5)"]
# No shell and no entry point: a SIGTERM reaches the process, and a flow run's command takes the worker's place.
# The template is for a pool that is not there yet; Prefect would make one of its own.
CMD ["prefect", "worker", "start", "--pool", "adce-ecs", "--type", "ecs", "--install-policy", "never", \
     "--base-job-template", "/etc/adce/base-job-template.json", "--with-healthcheck"]
