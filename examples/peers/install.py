"""Installs what the peers and the vectors' check need."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / (os.environ.get("CARGO_TARGET_DIR") or "target")


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def debian(*packages):
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"needs what Debian has in {' '.join(packages)}")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq")
    install = "apt-get", "install", "-qq", "-y", "--no-install-recommends", *packages
    run(*install, stdout=2, env=quiet)


def install_python():
    """A virtual environment with what requirements.txt says; gives its Python."""
    directory = TARGET / "peers" / "venv"
    python = directory / "bin" / "python"
    if not python.exists():
        make = sys.executable, "-m", "venv", "--clear", directory
        try:
            run(*make, stdout=subprocess.DEVNULL)
        except subprocess.CalledProcessError:
            debian("python3-venv")
            run(*make)
    pip = python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"
    run(*pip, "--requirement", HERE / "python" / "requirements.txt")
    return python


def install_node():
    """A copy of node/ with its packages in it, which is where Node looks for them; gives it."""
    directory = TARGET / "peers" / "node"
    if not (shutil.which("node") and shutil.which("npm")):
        debian("nodejs", "npm")
    directory.mkdir(parents=True, exist_ok=True)
    for file in (HERE / "node").iterdir():
        if file.is_file():
            shutil.copy(file, directory)
    run("npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error", cwd=directory, stdout=2)
    return directory


def install_chromium():
    if not shutil.which("chromium"):
        debian("chromium")
    return shutil.which("chromium")


def install_redis():
    if not shutil.which("redis-server"):
        debian("redis-server")


def install_rust():
    options = "--locked", "--examples", "-p", "smallwire-examples", "--features", "redis"
    run("cargo", "build", *options, cwd=ROOT)
    return TARGET / "debug" / "examples"
