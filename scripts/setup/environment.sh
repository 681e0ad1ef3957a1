# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Read by scripts/setup.sh: which ROS, and the environment in $env (.ros2) around it.

jazzy_guide=https://docs.ros.org/en/jazzy/Installation.html
no_network="is there a network? Run it again when there is: what has been fetched stays"

# Sets `ros`: the folder of a distribution, `sourced` for one that is sourced from elsewhere, or `pypi`.
choose_ros() {
  local base=${VGGT4D_ROS_ROOT:-/opt/ros} before ros2 distro
  before=$(cat "$env/.ros" 2>/dev/null || true)
  ros2=$(command -v ros2 || true)
  ros=pypi
  [ "${VGGT4D_ROS:-}" != pypi ] || return 0
  if [ -n "${ROS_DISTRO:-}" ] && [ -f "$base/$ROS_DISTRO/setup.bash" ]; then
    ros=$base/$ROS_DISTRO
  # a prefix from PyPI (this one or another checkout's) is a virtual environment: not an installed ROS
  elif [ -n "${ROS_DISTRO:-}" ] && [ -n "$ros2" ] && [ "$ros2" != "${VIRTUAL_ENV:-}/bin/ros2" ]; then
    ros=sourced
  elif [ "$before" = sourced ] || [ -f "${before:-none}/setup.bash" ]; then
    ros=$before
  else
    for distro in jazzy kilted humble lyrical rolling; do
      [ ! -f "$base/$distro/setup.bash" ] || { ros=$base/$distro; return; }
    done
  fi
}

# Everything in .ros2, for the ROS chosen.
prepare_environment() {
  [ "$(cat "$env/.ros" 2>/dev/null || echo "$ros")" = "$ros" ] || rm -rf "$env"
  need_tools
  case $ros in
    pypi) ros_from_pypi ;;
    sourced) ros_installed "$(sourced_ros)" ;;
    *) ros_installed "source '$ros/setup.bash'" ;;
  esac
  echo "$ros" > "$env/.ros"
  say "[3/5] Python packages"
  local beside=--beside-ros
  [ "$ros" != pypi ] || beside=
  in_env "python '$setup/python_packages.py' $beside" || die "pip could not install the Python packages: $no_network"
  if [ "$ros" = pypi ]; then
    pip install -qq --no-build-isolation --no-deps --force-reinstall "$root"/scripts/standins/*/ \
      || die "pip could not install the stand-ins for cv_bridge, tf_transformations and ros2launch"
  fi
  say "[4/5] checking it"
  in_env "python '$setup/check.py'" || die "this environment does not work, see above; 'rm -rf $env' starts afresh"
}

in_env() { bash -c "source '$env/setup.bash' >/dev/null; $1"; }

pip() { "$env/bin/python" -m pip --disable-pip-version-check "$@" >&2; }

# need PACKAGES...: installs Debian packages where that is ours to do, a CI container; else asks for it.
need() {
  if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "apt-get install $*"
    apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends "$@" >/dev/null && return
  fi
  die "missing: $*. Do: sudo apt-get install $*"
}

need_tools() {
  local free
  command -v gcc >/dev/null || need gcc
  command -v g++ >/dev/null || need g++
  command -v make >/dev/null || need make
  free=$(df --output=avail -BM "$root" | tail -1 | tr -dc 0-9)
  [ "$free" -ge "${VGGT4D_DISK_MB:-8000}" ] || compgen -G "$env/lib/python3*/site-packages/torch" >/dev/null \
    || die "8000 MB of disk are needed, $free MB are free in $root (VGGT4D_DISK_MB=N sets another limit)"
}

# ---------------------------------------------------------------- ROS 2 Jazzy from PyPI
ros_from_pypi() {
  local stamp=$env/.ros-stamp want
  need_pypi_platform
  find_python312
  want=$(cat "$setup/ros_from_pypi.py" "$setup/ros-wheels.txt" <(echo "$env") | hash_of)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    say "No ROS 2 is sourced or in /opt/ros: assembling ROS 2 Jazzy from PyPI wheels in .ros2"
    say "NOTE One of them, isaacsim-ros2 6.2.0.0 (133 MB), is NVIDIA's, under the licence 'NVIDIA Proprietary"
    say "     Software' (the ROS 2 packages in it carry their own open licences). It is downloaded to this"
    say "     machine only, for the demo and the tests; nothing of it is copied into this project."
    say "     To do without: Ctrl-C, install ROS 2 ($jazzy_guide), run again."
    [ ! -t 2 ] || sleep 5
  fi
  say "[1/5] virtual environment and build tools (25 MB)"
  make_venv "$python"
  pip install -qq -r "$setup/tools.txt" || die "pip could not install the build tools: $no_network"
  say "[2/5] ROS 2 Jazzy (140 MB)"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    rm -f "$stamp"
    "$env/bin/python" "$setup/ros_from_pypi.py" "$env" || case $? in
      3) die "could not get the ROS 2 wheels: $no_network" ;;
      *) die "could not assemble ROS 2, see above" ;;
    esac
    echo "$want" > "$stamp"
  fi
}

need_pypi_platform() {
  local libc
  [ "$(uname -sm)" = "Linux x86_64" ] \
    || die "ROS 2 from PyPI is for Linux on x86_64, this is $(uname -sm): install ROS 2, $jazzy_guide"
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
  [ "$(printf '%s\n2.35\n' "${libc:-0}" | sort -V | head -1)" = 2.35 ] \
    || die "ROS 2 from PyPI needs glibc 2.35 (Ubuntu 22.04, Debian 12), here is ${libc:-none}: install ROS 2, $jazzy_guide"
}

# Sets `python`: a Python 3.12 that has its headers.
find_python312() {
  local candidate
  for candidate in "${PYTHON312:-}" /usr/bin/python3.12 /usr/local/bin/python3.12 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python3.12 \
    "$HOME"/.local/share/uv/python/cpython-3.12*/bin/python3.12 "$(command -v python3.12 || true)"; do
    if [ -x "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
  [ -n "${python:-}" ] || die "no Python 3.12, which ROS 2 Jazzy from PyPI needs. Ubuntu 24.04: sudo apt-get install" \
    "python3.12-venv python3.12-dev; elsewhere: pyenv install 3.12, or uv python install 3.12, or PYTHON312=FILE"
  "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
    || { say "$python has no Python.h"; need python3.12-dev; }
}

make_venv() {   # make_venv PYTHON [OPTION]
  [ ! -x "$env/bin/python" ] || return 0
  "$1" -c 'import ensurepip' 2>/dev/null || need python3-venv
  "$1" -m venv ${2:-} "$env" >&2 || { rm -rf "$env"; die "$1 cannot make a virtual environment in $env"; }
}

# ---------------------------------------------------------------- an installed ROS 2
ros_installed() {   # ros_installed COMMANDS: what brings that ROS into a shell
  local python3 missing
  say "[1/5] virtual environment on top of the installed ROS 2 (${ros/sourced/${ROS_DISTRO:-sourced}})"
  python3=$(bash -c "$1 >/dev/null; type -P python3")
  make_venv "$python3" --system-site-packages
  cat > "$env/setup.bash" <<END
# Written by scripts/setup.sh: the installed ROS 2 and the Python packages of vggt4d_ros. Source it.
$1
export VIRTUAL_ENV='$env' PATH='$env/bin':"\$PATH"
END
  touch "$env/COLCON_IGNORE"
  say "[2/5] colcon and the ROS packages that are needed"
  in_env 'type -P colcon' >/dev/null || pip install -qq colcon-common-extensions 'setuptools<80' \
    || die "pip could not install colcon: $no_network"
  missing=$(in_env "python '$setup/missing_packages.py' '$root/package.xml'") || die "this ROS 2 does not work, see above"
  [ -z "$missing" ] || die "this ROS 2 lacks $missing. Do: rosdep install --from-paths $root --ignore-src -y"
}

# What a sourced ROS set in this shell, to be sourced again.
sourced_ros() {
  local name
  for name in AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PATH PYTHONPATH ROS_DISTRO ROS_VERSION \
    ROS_PYTHON_VERSION; do
    [ -z "${!name:-}" ] || printf 'export %s=%q\n' "$name" "${!name}"
  done
}
