# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: wires cameras, stream, network, geometry and outputs together."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Frame, Rig, Window
from vggt4d_ros.model.engine import Engine, load_engine
from vggt4d_ros.model.errors import CheckpointError, EngineError
from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.options import ConfigError
from vggt4d_ros.processor import EmptyWindow, Processed, Processor
from vggt4d_ros.ros import params
from vggt4d_ros.ros.camera_input import CameraInput, camera_topics
from vggt4d_ros.ros.diagnostics import Diagnostics
from vggt4d_ros.ros.encode import NANOSECONDS, header
from vggt4d_ros.ros.no_data import NoDataWatch
from vggt4d_ros.ros.outputs import Outputs
from vggt4d_ros.ros.services import SavedCloud, ServiceError, add_services, write_cloud_file
from vggt4d_ros.ros.status import StageTimer, fill_counts, window_status
from vggt4d_ros.ros.tf import FrameTree
from vggt4d_ros.ros.worker import Worker
from vggt4d_ros.stream.pipeline import StreamPipeline


@dataclass
class _Configured:
    """What exists from configure to cleanup."""

    engine: Engine
    outputs: Outputs
    tree: FrameTree


@dataclass
class _Active:
    """What exists from activate to deactivate."""

    pipeline: StreamPipeline
    processor: Processor
    cameras: list[CameraInput]
    worker: Worker
    watch: NoDataWatch
    timers: list[object]


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
        self._active: _Active | None = None
        self._last_processed: Processed | None = None
        self._last_status: WindowStatus | None = None
        self._live = params.LiveParameters(
            self, lambda: self._configured is not None, self._set_config
        )
        self._diagnostics = Diagnostics(
            self,
            self.get_fully_qualified_name(),
            lambda: self._active.cameras if self._active else [],
            lambda: self._last_status,
        )
        add_services(self, self.reset, self.save_cloud)

    def _set_config(self, config: Config) -> None:
        self.config = config
        if self._configured is not None:
            self._configured.outputs.lazy = config.output.lazy

    # ------------------------------------------------------------------ lifecycle

    def start(self) -> bool:
        """Configures and activates; False, with the reason logged, when that fails."""
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the network and makes the publishers."""
        try:
            self.config = params.read(self)
            names = self.config.cameras.names
            if not names:
                raise ConfigError(
                    "no cameras given: set cameras.names, e.g. cameras:=front,left for "
                    "front/image_raw and left/image_raw"
                )
            engine = load_engine(self.config.model)
            what = engine.description
            self.get_logger().info(
                f"network: {what.name}, {what.parameters / 1e6:.1f} M parameters, {what.precision} "
                f"on {what.device}, {what.checkpoint}"
            )
            for warning in engine.warnings:
                self.get_logger().warning(warning)
            tree = FrameTree(self, self.config.tf)
            outputs = Outputs(self, names, tree.fixed_frame, self.config.tf.base_frame)
        except (ConfigError, CheckpointError, EngineError) as error:
            self.get_logger().fatal(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:  # rclpy would swallow it
            self.get_logger().fatal(f"cannot configure:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        self._configured = _Configured(engine, outputs, tree)
        self._set_config(self.config)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes to the cameras and starts the worker."""
        assert self._configured is not None
        try:
            self._active = self._activate(self._configured)
        except Exception:  # rclpy would swallow it
            self.get_logger().fatal(f"cannot activate:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._active.worker.start()
        topics = ", ".join(c.subscriber.sub.topic_name for c in self._active.cameras)
        self.get_logger().info(f"active: waiting for {topics}")
        return result

    def _activate(self, configured: _Configured) -> _Active:
        config = self.config
        topics = camera_topics(config)
        pipeline = StreamPipeline(len(topics), config.sync, config.window)
        cameras = [
            CameraInput(self, index, names, config, pipeline) for index, names in enumerate(topics)
        ]
        for camera in cameras:
            camera.registerCallback(self._on_frame)
        processor = Processor(configured.engine)
        worker = Worker(
            pipeline=pipeline,
            processor=processor,
            rig=self._rig,
            wanted=configured.outputs.wants_anything,
            publish=self._on_processed,
            on_empty=self._on_empty_window,
            on_fatal=self._on_worker_died,
        )
        watch = NoDataWatch(self, cameras, pipeline, config.window.length)
        # deadlines and reports go by time that passes also when a simulated clock stands still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timers = [self.create_timer(1.0, self._watch_for_data, clock=steady)]
        if config.sync.min_cameras:
            period = max(0.02, config.sync.deadline_s / 2)
            timers.append(self.create_timer(period, self._tick, clock=steady))
        return _Active(pipeline, processor, cameras, worker, watch, timers)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends the stream; every frame is accounted for in a last status."""
        self._stop(timeout_s=60.0)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the network and the publishers."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends all that runs."""
        self._stop(timeout_s=60.0)
        self._release()
        return super().on_shutdown(state)

    def close(self, timeout_s: float) -> bool:
        """Ends all that runs, without waiting longer than this for the network; whether it did."""
        finished = self._stop(timeout_s)
        if finished:
            self._release()
        return finished

    def _stop(self, timeout_s: float) -> bool:
        active, self._active = self._active, None
        if active is None:
            return True
        active.pipeline.close()
        for timer in active.timers:
            self.destroy_timer(timer)
        for camera in active.cameras:
            camera.close()
        finished = active.worker.join(timeout_s)
        self._publish_final_status(active)
        return finished

    def _release(self) -> None:
        configured, self._configured = self._configured, None
        if configured is not None:
            configured.outputs.close()
            configured.tree.close()
            configured.engine.close()
        self._last_processed = None

    def _publish_final_status(self, active: _Active) -> None:
        status = self._last_status or WindowStatus(cameras=list(self.config.cameras.names))
        fill_counts(status, active.pipeline.counts())
        status.stage_times = []
        status.warnings = ["the node stops: these are the final counts"]
        if self._configured is not None:
            self._configured.outputs.publish_last_status(status)

    # ------------------------------------------------------------------ executor thread

    def _on_frame(self, frame: Frame) -> None:
        active = self._active
        if active is None:
            return
        jump = active.pipeline.receive(frame)
        if jump is not None:
            self.get_logger().warning(
                f"time jumped back by {(jump.from_ns - jump.to_ns) / NANOSECONDS:.3f} s: "
                "the window is cleared and a new trajectory begins"
            )

    def _tick(self) -> None:
        if self._active is not None:
            self._active.pipeline.tick(self.get_clock().now().nanoseconds)

    def _watch_for_data(self) -> None:
        active = self._active
        if active is None:
            return
        report = active.watch.check(self.config.node.no_data_report_s)
        if report is None or self._configured is None:
            return
        self.get_logger().warning(report)
        status = WindowStatus(cameras=list(self.config.cameras.names), warnings=report.split("\n"))
        status.header = header(self.get_clock().now().nanoseconds, "")
        fill_counts(status, active.pipeline.counts())
        self._configured.outputs.publish_status(status)

    def reset(self) -> None:
        """Forgets what came before: the next window begins a new trajectory.

        Raises:
            ServiceError: the node is not active.
        """
        active, configured = self._active, self._configured
        if active is None or configured is None:
            raise ServiceError("the node is not active")
        active.pipeline.reset("reset")
        configured.outputs.reset()
        self._last_processed = None

    def save_cloud(self, path: str) -> SavedCloud:
        """Writes the newest merged cloud.

        Raises:
            ServiceError: there is none yet, or the file cannot be written.
        """
        processed, configured = self._last_processed, self._configured
        if processed is None or configured is None:
            raise ServiceError("there is no window yet")
        return write_cloud_file(path, processed, self.config, configured.tree.fixed_frame)

    # ------------------------------------------------------------------ worker thread

    def _rig(self, window: Window) -> Rig:
        active, configured = self._active, self._configured
        if active is None or configured is None:
            return Rig((None,) * window.shape[1])
        return configured.tree.rig([camera.frame_id for camera in active.cameras])

    def _on_processed(self, processed: Processed, wait_ms: float) -> None:
        active, configured = self._active, self._configured
        if active is None or configured is None:
            return
        timer = StageTimer(processed, wait_ms)
        config = self.config
        configured.outputs.publish(processed, config)
        warnings = (*processed.warnings, *self._publish_tf(processed, config, configured.tree))
        active.processor.flow = configured.outputs.wants_flow()
        status = window_status(
            processed,
            active.pipeline.counts(),
            cameras=config.cameras.names,
            fixed_frame=configured.tree.fixed_frame,
            now_ns=self.get_clock().now().nanoseconds,
            stage_ms=timer.stop(),
            warnings=warnings,
        )
        engine = configured.engine
        status.device, status.model = engine.description.device, engine.description.name
        status.gpu_memory = engine.memory_bytes if "cuda" in status.device else 0
        configured.outputs.publish_status(status)
        self._last_processed, self._last_status = processed, status
        self._diagnostics.note_window()
        for refusal in processed.refused:
            self._warn_refused(refusal.frame, str(refusal.error))

    def _publish_tf(self, processed: Processed, config: Config, tree: FrameTree) -> tuple[str, ...]:
        tracked = processed.tracked
        if not tracked.scale.known and not config.geometry.allow_unscaled:
            return (
                "no metric scale: depth, clouds, poses and TF are held back; give the rig's "
                "extrinsics by TF, or set geometry.allow_unscaled",
            )
        tree.publish(processed)
        return tree.warnings

    def _on_empty_window(self, empty: EmptyWindow) -> None:
        for refusal in empty.refused:
            self._warn_refused(refusal.frame, str(refusal.error))

    def _warn_refused(self, frame: Frame, reason: str) -> None:
        name = self.config.cameras.names[frame.camera]
        self.get_logger().warning(f"{name}: frame dropped: {reason}", throttle_duration_sec=5.0)

    def _on_worker_died(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error))
        self.get_logger().fatal(f"the network's thread died, the node ends:\n{text}")
        self._on_fatal()
