# Serves a trained run: docker build -t mla-train . && docker run -p 127.0.0.1:8000:8000 -v ./runs/mine:/run:ro mla-train
FROM python:3.11-slim

# Arguments of pip. By default torch is the build for GPUs, which also runs without one. For a much smaller image, name the
# package index of torch's CPU builds: torch and torchvision must both come from it.
ARG PIP_ARGS=""

WORKDIR /app

# Dependencies first: this layer is built again when they change, not when the code does.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
    print(*project['dependencies'], *project['optional-dependencies']['serve'], sep='\n')" > /tmp/requirements.txt \
    && pip install --no-cache-dir --constraint constraints.txt $PIP_ARGS --requirement /tmp/requirements.txt

COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt $PIP_ARGS --editable ".[serve]" \
    && useradd --create-home server

USER server
ENV MPLCONFIGDIR=/tmp
EXPOSE 8000
HEALTHCHECK --start-period=60s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["mla-train", "serve", "--run", "/run", "--host", "0.0.0.0"]
