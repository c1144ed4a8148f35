# The images of docker-compose.yaml. They hold what is installed: DAGs, plugins and include are mounted, so that a change
# of them builds nothing. An ordinary user runs in them, and nothing is written to the images' own files.
#
#   airflow       Airflow's components
#   observatory   the same, with CASA from PyPI and a mail box (last: a builder without BuildKit makes all that stand before)
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
# As the base image is: a version of each Debian package would have to be raised with each of its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/* /var/log/* /usr/share/doc /usr/share/man

FROM python AS installer
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
# That of requirements-dev.txt, whose other lines need rebuild nothing.
ARG UV_VERSION=0.13.9
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"

FROM installer AS airflow-packages
COPY requirements-team.lock /tmp/
RUN /opt/uv/bin/uv venv --quiet --python /usr/bin/python3 /opt/airflow \
    && /opt/uv/bin/uv pip install --quiet --no-cache --no-deps --python /opt/airflow/bin/python \
        --requirements /tmp/requirements-team.lock \
    && find /opt/airflow -type f \( -name '*.map' -o -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete \
    && /opt/airflow/bin/python -m compileall -q -j 0 /opt/airflow/lib

FROM python AS airflow
# The service's account: what owns the areas. Give the ids that it has where the areas are.
ARG SRDP_UID=50000
ARG SRDP_GID=50000
COPY --from=airflow-packages /opt/airflow /opt/airflow
# A part of Python that CASA imports, and that Debian keeps in a package of its own.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-distutils \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/* /var/log/* /usr/share/doc
# The folders that volumes are mounted at; one that is new takes their owner and mode.
RUN groupadd --gid "${SRDP_GID}" srdp \
    && useradd --uid "${SRDP_UID}" --gid srdp --no-log-init --no-create-home --home-dir /srdp/home srdp \
    && install -d -o srdp -g srdp -m 0755 /srdp /srdp/areas /srdp/retention /srdp/observatory \
    && install -d -o srdp -g srdp -m 0700 /srdp/airflow /srdp/home /srdp/logs \
    && install -d -o srdp -g srdp -m 0755 /opt/casa \
    && install -d /opt/srdp/dags /opt/srdp/plugins /opt/srdp/include \
    && ln -s /opt/casa /opt/srdp/.venv-casa
ENV PATH=/opt/airflow/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/srdp/plugins \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8 \
    HOME=/srdp/home \
    AIRFLOW_HOME=/srdp/airflow \
    SRDP_HOME=/opt/srdp
WORKDIR /srdp/home
USER ${SRDP_UID}:${SRDP_GID}
CMD ["airflow", "version"]

FROM installer AS observatory-packages
COPY requirements-casa.lock /tmp/
# casaconfig's tests, in a package `tests`, are for a newer Python. The stamp comes last: it says which list was installed
# completely.
RUN /opt/uv/bin/uv venv --quiet --python /usr/bin/python3 /opt/casa-of-image \
    && /opt/uv/bin/uv pip install --quiet --no-cache --no-deps --python /opt/casa-of-image/bin/python \
        --requirements /tmp/requirements-casa.lock \
    && rm -rf /opt/casa-of-image/lib/python3.*/site-packages/tests \
    && /opt/casa-of-image/bin/python -m compileall -qq -j 0 /opt/casa-of-image/lib \
    && sha256sum </tmp/requirements-casa.lock >/opt/casa-of-image/.installed
COPY include/sandbox/requirements.txt requirements.lock /tmp/
RUN grep -E '^(maildump|setuptools)=' /tmp/requirements.txt >/tmp/mail-box.txt \
    && /opt/uv/bin/uv pip install --quiet --no-cache --python /usr/bin/python3 --target /opt/mail-box \
        --constraint /tmp/requirements.lock --requirements /tmp/mail-box.txt

FROM airflow AS observatory
COPY --from=observatory-packages /opt/mail-box /opt/mail-box
COPY --from=observatory-packages /opt/casa-of-image /opt/casa-of-image
