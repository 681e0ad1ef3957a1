# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: what exists when, and who may ask for it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from lifecycle_msgs.srv import ChangeState
from rclpy.exceptions import (
    InvalidTopicNameException,
    ParameterException,
)
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vggt4d_ros.config import Config
from vggt4d_ros.model.engine import Engine, load_engine
from vggt4d_ros.model.errors import CheckpointError, EngineError
from vggt4d_ros.options import ConfigError
from vggt4d_ros.ros import params
from vggt4d_ros.ros.diagnostics import Diagnostics
from vggt4d_ros.ros.motion import MotionInput
from vggt4d_ros.ros.outputs import Outputs
from vggt4d_ros.ros.services import SavedCloud, ServiceError, add_services
from vggt4d_ros.ros.session import Session
from vggt4d_ros.ros.tf import FrameTree

_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_PATIENCE_S = 60.0  # for the network call in progress when the node is deactivated

# What a user can mend: told in one line. RuntimeError and ParameterException are how rclpy
# answers wrong qos_overrides.
_USER_ERRORS = (
    ConfigError,
    CheckpointError,
    EngineError,
    InvalidTopicNameException,
    ParameterException,
    RuntimeError,
)


@dataclass
class _Configured:
    """What exists from configure to cleanup."""

    engine: Engine
    outputs: Outputs
    tree: FrameTree
    motion: MotionInput | None  # from configure on: static transforms come but once


class Vggt4dNode(LifecycleNode):
    """Cameras in; depth, scene flow, clouds, poses and status out.

    Args:
        on_fatal: called when the node cannot go on; the process must end with status 1.
    """

    def __init__(self, on_fatal: Callable[[], None], **kwargs: object) -> None:
        super().__init__("vggt4d", **kwargs)
        self._on_fatal = on_fatal
        params.declare(self)
        self.config: Config = params.read(self)
        self._configured: _Configured | None = None
        self._session: Session | None = None
        self._ending: Session | None = None  # stopped, but its worker is still in the network
        self._live = params.LiveParameters(
            self, lambda: self._configured is not None, self._set_config
        )
        self._diagnostics = Diagnostics(
            self, self.get_fully_qualified_name(), lambda: self._session
        )
        add_services(self, self.reset, self.save_cloud)
        self._guard_transitions()

    def _guard_transitions(self) -> None:
        """Answers a transition that does not fit the state, instead of ending the process.

        rclpy lets the error out of its service callback (ros2/rclpy issue 1209).
        """
        service = self._service_change_state
        change = service.callback

        def guarded(
            request: ChangeState.Request, response: ChangeState.Response
        ) -> ChangeState.Response:
            try:
                return change(request, response)
            except Exception as error:  # RCLError, whose module is private
                self.get_logger().error(f"transition refused: {error}")
                response.success = False
                return response

        service.callback = guarded

    def _set_config(self, config: Config) -> None:
        self.config = config
        if self._configured is not None:
            self._configured.outputs.lazy = config.output.lazy
        if self._session is not None:
            self._session.apply(config)

    # ------------------------------------------------------------------ lifecycle

    def start(self) -> bool:
        """Configures and activates; False, with the reason logged, when that fails."""
        return self.trigger_configure() == _SUCCESS and self.trigger_activate() == _SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the network and makes the publishers."""
        with ExitStack() as undo:
            undo.callback(setattr, self, "_configured", None)
            try:
                self._set_config(params.read(self))
                self._configured = self._configure(undo)
                result = super().on_configure(state)
            except _USER_ERRORS as error:
                self.get_logger().fatal(f"cannot configure: {error}")
                return _FAILURE
            except Exception:  # rclpy would swallow it
                self.get_logger().fatal(f"cannot configure:\n{traceback.format_exc()}")
                return _FAILURE
            undo.pop_all()
        self._set_config(self.config)
        return result

    def _configure(self, undo: ExitStack) -> _Configured:
        names = self.config.cameras.names
        if not names:
            raise ConfigError(
                "no cameras given: set cameras.names, e.g. cameras:=front,left for "
                "front/image_raw and left/image_raw"
            )
        engine = load_engine(self.config.model)
        undo.callback(engine.close)
        what = engine.description
        self.get_logger().info(
            f"network: {what.name}, {what.parameters / 1e6:.1f} M parameters, {what.precision} "
            f"on {what.device}, {what.checkpoint}"
        )
        length, largest = self.config.window.length, engine.largest_window(len(names))
        text = f"memory: windows of up to {largest} time steps x {len(names)} cameras fit"
        if largest < length:
            self.get_logger().warning(f"{text}; window.length {length} is cut to it")
        else:
            self.get_logger().info(text)
        for warning in engine.warnings:
            self.get_logger().warning(warning)
        tree = FrameTree(self, self.config.tf)
        undo.callback(tree.close)
        motion = None
        if self.config.geometry.motion_source != "none":
            motion = MotionInput(self, self.config, tree)
            undo.callback(motion.close)
        outputs = Outputs(self, names)
        undo.callback(outputs.close)
        return _Configured(engine, outputs, tree, motion)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes to the cameras and starts the worker."""
        configured = self._configured
        if configured is None or not self._has_ended():
            return _FAILURE
        try:
            session = Session(
                self,
                self.config,
                engine=configured.engine,
                outputs=configured.outputs,
                tree=configured.tree,
                motion=configured.motion,
                on_window=self._diagnostics.note_window,
                on_fatal=self._on_fatal,
            )
        except _USER_ERRORS as error:
            self.get_logger().fatal(f"cannot activate: {error}")
            return _FAILURE
        except Exception:  # rclpy would swallow it
            self.get_logger().fatal(f"cannot activate:\n{traceback.format_exc()}")
            return _FAILURE
        result = super().on_activate(state)
        self._diagnostics.begin()
        self._session = session
        session.start()
        topics = ", ".join(camera.subscriber.sub.topic_name for camera in session.cameras)
        self.get_logger().info(f"active: waiting for {topics}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends the stream; every frame is accounted for in a last status."""
        self._stop(_PATIENCE_S)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the network and the publishers."""
        if not self._has_ended():
            return _FAILURE
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends all that runs."""
        if self.close(_PATIENCE_S):
            return super().on_shutdown(state)
        return _FAILURE

    def close(self, timeout_s: float) -> bool:
        """Ends all that runs, without waiting longer than this for the network; whether it did."""
        self._stop(timeout_s)
        if self._ending is not None and not self._ending.has_ended():
            return False
        self._release()
        return True

    def _stop(self, timeout_s: float) -> None:
        session, self._session = self._session, None
        if session is not None and not session.stop(timeout_s):
            self._ending = session

    def _has_ended(self) -> bool:
        """Whether no worker of an earlier session is left."""
        if self._ending is not None and not self._ending.has_ended():
            self.get_logger().error("the network is still busy with the last window: try again")
            return False
        self._ending = None
        return True

    def _release(self) -> None:
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.outputs.close()
            if configured.motion is not None:
                configured.motion.close()
            configured.tree.close()
            configured.engine.close()

    # ------------------------------------------------------------------ services

    def reset(self) -> None:
        """Forgets what came before.

        Raises:
            ServiceError: the node is not active.
        """
        self._require_session().reset()

    def save_cloud(self, path: str) -> SavedCloud:
        """Writes the newest merged cloud.

        Raises:
            ServiceError: the node is not active, there is none, or it cannot be written.
        """
        return self._require_session().save_cloud(path)

    def _require_session(self) -> Session:
        if self._session is None:
            raise ServiceError("the node is not active")
        return self._session
