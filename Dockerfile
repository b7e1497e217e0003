# docker build -t passerelle .
# docker run -p 8080:8080 -v ./gateway.yaml:/app/gateway.yaml:ro -v passerelle:/app/data --env-file .env passerelle
#
# Only /app/data is written to, so `--read-only` works. Secrets come from the environment or ${file:...}, never from the image.

FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The environment that is shipped has no pip; the image's own pip fills it, by hash.
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt .
RUN pip --python /opt/venv install --no-deps --require-hashes -r requirements.txt
COPY . .
# What only the build needs does not stay.
RUN pip --python /opt/venv wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && pip --python /opt/venv install --no-deps dist/*.whl \
 && pip --python /opt/venv uninstall --yes editables hatchling packaging pathspec pluggy tomlkit trove-classifiers

FROM python:3.12-slim
RUN groupadd --system --gid 10001 gateway \
 && useradd --system --uid 10001 --gid gateway --no-create-home --home-dir /app --shell /usr/sbin/nologin gateway \
 && install --directory --owner gateway --group gateway /app/data
COPY --from=build /opt/venv /opt/venv
COPY gateway.yaml /app/gateway.yaml
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
VOLUME /app/data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-m", "gateway.commands.health"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--host", "0.0.0.0"]
