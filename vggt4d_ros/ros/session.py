# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What runs from activate to deactivate: cameras, stream, worker, and the results' way out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleNode

from vggt4d_ros.config import Config
from vggt4d_ros.datatypes import Frame, Rig, Window
from vggt4d_ros.geometry.given import given_heights
from vggt4d_ros.geometry.scale import GivenScale
from vggt4d_ros.messages.camera import camera_topics
from vggt4d_ros.messages.frames import FrameNames
from vggt4d_ros.messages.stamps import NANOSECONDS
from vggt4d_ros.messages.status import (
    UNSCALED,
    Circumstances,
    fill_counts,
    is_held_back,
    window_status,
)
from vggt4d_ros.messages.topics import STATUS
from vggt4d_ros.model.engine import Engine
from vggt4d_ros.msg import WindowStatus
from vggt4d_ros.processor import EmptyWindow, Processed, Processor, Refusal, ScaleHints
from vggt4d_ros.ros.camera_input import CameraInput
from vggt4d_ros.ros.encode import ENCODER, header
from vggt4d_ros.ros.given_depth import GivenDepthInput
from vggt4d_ros.ros.motion import MotionInput
from vggt4d_ros.ros.no_data import NoDataWatch
from vggt4d_ros.ros.outputs import Outputs
from vggt4d_ros.ros.rig_report import RigWatch
from vggt4d_ros.ros.services import SavedCloud, ServiceError, write_cloud_file
from vggt4d_ros.ros.status import MemoryMeter, StageTimer
from vggt4d_ros.ros.tf import FrameTree
from vggt4d_ros.ros.worker import Worker
from vggt4d_ros.stream.deadline import DeadlineControl
from vggt4d_ros.stream.pipeline import StreamPipeline

_STATUS_PERIOD_S = 1.0  # of counts alone, while no window gives a status


class Session:
    """One activation of the node. Counters, trajectory and results begin anew with each.

    Args:
        node: owner of subscriptions and timers.
        config: as it was configured; ``apply`` takes live changes.
        engine, outputs, tree, motion: made at configure, outlive the session.
        on_window: called after each finished window.
        on_fatal: called when the worker has died.
    """

    def __init__(
        self,
        node: LifecycleNode,
        config: Config,
        *,
        engine: Engine,
        outputs: Outputs,
        tree: FrameTree,
        motion: MotionInput | None,
        on_window: Callable[[], None],
        on_fatal: Callable[[], None],
    ) -> None:
        self._node = node
        self._config = config
        self._engine = engine
        self._outputs = outputs
        self._tree = tree
        self.motion = motion
        if motion is not None:
            motion.begin(config.geometry.motion_wait_s)
        self._on_window = on_window
        self._on_fatal = on_fatal
        self._frames = FrameNames("", "")
        self.rig_watch = RigWatch(config.cameras.names, config.tf.base_frame)
        self._result: tuple[Processed, FrameNames] | None = None  # the newest, for save_cloud
        self._reset_epoch = 0  # of the pipeline at the newest reset
        self._memory = MemoryMeter()
        self._status_sent = time.monotonic()
        self._status: Callable[[], WindowStatus] | None = None  # makes that of the newest window
        self._timers: list[object] = []
        self.cameras: list[CameraInput] = []
        self.given_depth: GivenDepthInput | None = None
        self.pipeline = StreamPipeline(len(config.cameras.names), config.sync, config.window)
        self._processor = Processor(engine, masks=False)
        self._worker = Worker(
            pipeline=self.pipeline,
            processor=self._processor,
            rig=self._rig,
            hints=ScaleHints(motion.of_window if motion is not None else None, self._given),
            wanted=self._is_wanted,
            publish=self._on_processed,
            on_empty=self._on_empty_window,
            on_fatal=self._on_worker_died,
            deadline=DeadlineControl(
                min(config.window.length, engine.largest_window(len(config.cameras.names))),
                engine.image_sizes,
            ),
            targets=lambda: (self._config.deadline.latency_s, self._config.deadline.rate_hz),
            waited_s=lambda: tree.waited_s + (motion.waited_s if motion is not None else 0.0),
        )
        try:
            self._subscribe()
        except BaseException:
            self._unsubscribe()
            raise

    def _subscribe(self) -> None:
        config = self._config
        for index, topics in enumerate(camera_topics(config)):
            camera = CameraInput(self._node, index, topics, config, self.pipeline)
            self.cameras.append(camera)
            camera.registerCallback(self._on_frame)
        self.given_depth = GivenDepthInput(self._node, config)
        self._watch = NoDataWatch(self._node, self.cameras, self.pipeline, config.window.length)
        # deadlines and reports go by time that passes also when a simulated clock stands still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers.append(self._node.create_timer(1.0, self._look_around, clock=steady))
        if config.sync.min_cameras:
            period = max(0.02, config.sync.deadline_s / 2)
            self._timers.append(self._node.create_timer(period, self._tick, clock=steady))

    def _unsubscribe(self) -> None:
        for timer in self._timers:
            self._node.destroy_timer(timer)
        for camera in self.cameras:
            camera.close()
        if self.given_depth is not None:
            self.given_depth.close()

    def start(self) -> None:
        """Lets the worker take windows."""
        self._worker.start()

    def apply(self, config: Config) -> None:
        """Takes live parameters."""
        self._config = config
        if self.motion is not None:
            self.motion.wait_s = config.geometry.motion_wait_s

    def stop(self, timeout_s: float) -> bool:
        """Ends the stream and publishes the final counts; whether the worker has ended too."""
        self.pipeline.close()
        self._unsubscribe()
        finished = self._worker.join(timeout_s)
        status = self._counts_status(["the node stops: these are the final counts"])
        self._outputs.publish_last_status(status)
        return finished

    def has_ended(self) -> bool:
        """Whether the worker has ended."""
        return self._worker.join(0.0)

    # ------------------------------------------------------------------ executor thread

    @property
    def last_status(self) -> WindowStatus | None:
        """Of the newest window, with the counts of now; None before the first."""
        make = self._status
        return None if make is None else make()

    def _on_frame(self, frame: Frame) -> None:
        jump = self.pipeline.receive(frame)
        if jump is not None:
            self._tree.forget()
            if self.motion is not None:
                self.motion.forget()
            self._node.get_logger().warning(
                f"time jumped back by {(jump.from_ns - jump.to_ns) / NANOSECONDS:.3f} s: "
                "the window is cleared and a new trajectory begins"
            )

    def _tick(self) -> None:
        self.pipeline.tick(self._node.get_clock().now().nanoseconds)

    def _look_around(self) -> None:
        """Once a second: says why no window comes; gives the counts when no window does."""
        report = self._watch.check(self._config.node.no_data_report_s)
        if report is not None:
            self._node.get_logger().warning(report)
        if report is not None or time.monotonic() - self._status_sent > _STATUS_PERIOD_S:
            self._send_status(self._counts_status(report.split("\n") if report else []))

    def reset(self) -> None:
        """Forgets what came before: the next window begins a new trajectory."""
        self.pipeline.reset("reset")
        self._reset_epoch = self.pipeline.epoch

    def save_cloud(self, path: str) -> SavedCloud:
        """Writes the newest merged cloud.

        Raises:
            ServiceError: there is none, or the file cannot be written.
        """
        # a window that was being worked on during a reset is of the trajectory before
        if self._result is None or self._result[0].window.epoch < self._reset_epoch:
            raise ServiceError(
                "there is no window yet"
                if self._is_wanted()
                else "nobody subscribes to an output, so no window is computed (output.lazy)"
            )
        processed, frames = self._result
        return write_cloud_file(path, processed, self._config, frames.fixed)

    # ------------------------------------------------------------------ worker thread

    def _is_wanted(self) -> bool:
        listened = self._outputs.wants_anything()  # always asked: it looks for new listeners
        return listened or self._config.tf.mode != "none"

    def _rig(self, window: Window) -> Rig:
        return self._tree.rig([camera.frame_id for camera in self.cameras])

    def _given(self, window: Window) -> GivenScale | None:
        heights = given_heights(self._config)
        depth = self.given_depth.of_window(window) if self.given_depth is not None else {}
        return GivenScale(heights, depth) if heights or depth else None

    def _on_processed(self, processed: Processed, wait_ms: float) -> None:
        timer = StageTimer(processed, wait_ms)
        self.rig_watch.note(processed)
        told = self._publish(processed, self._config) if processed.is_news else ()
        self._processor.flow = self._outputs.wants_flow()
        now_ns = self._node.get_clock().now().nanoseconds
        self._status = partial(
            self._window_status, processed, self._frames.fixed, told, now_ns, timer.stop()
        )
        if self._outputs.wants(STATUS):
            self._send_status(self._status())
        else:  # nobody hears it: half a millisecond is saved, and no counts alone are due
            self._status_sent = time.monotonic()
        self._on_window()
        self._tell_refused(processed.refused)

    def _window_status(
        self,
        processed: Processed,
        fixed_frame: str,
        told: tuple[str, ...],
        done_ns: int,
        stage_ms: Mapping[str, float],
    ) -> WindowStatus:
        """Status of a window that was done at ``done_ns``; ``told`` is what publishing warns of."""
        what, rig = self._engine.description, self.rig_watch.report()
        about = Circumstances(
            cameras=self._config.cameras.names,
            fixed_frame=fixed_frame,
            latency_s=(done_ns - processed.window.sets[-1].stamp_ns) / NANOSECONDS,
            stage_ms=stage_ms,
            warnings=(*processed.warnings, *(rig.warnings if rig else ()), *told),
            memory=self._memory.read(),
            gpu_memory=self._engine.memory_bytes if "cuda" in what.device else 0,
            device=what.device,
            model=what.name,
        )
        return window_status(ENCODER, processed, self.pipeline.counts(), about)

    def _publish(self, processed: Processed, config: Config) -> tuple[str, ...]:
        """Publishes results; gives what to warn of."""
        if is_held_back(processed, config):
            return (UNSCALED,)
        # TF first: it decides what the frames of the rest may be called
        self._frames = self._tree.publish(processed)
        self._outputs.publish(processed, config, self._frames)
        self._result = processed, self._frames
        return self._tree.warnings

    def _on_empty_window(self, empty: EmptyWindow) -> None:
        self._send_status(self._counts_status([str(empty)]))
        self._tell_refused(empty.refused)

    def _on_worker_died(self, error: BaseException) -> None:
        if self.pipeline.closed and isinstance(error, InvalidHandle):
            return  # the process ended without waiting for it, and its publishers with it
        text = "".join(traceback.format_exception(error))
        self._node.get_logger().fatal(f"the network's thread died, the node ends:\n{text}")
        self._on_fatal()

    def _tell_refused(self, refused: tuple[Refusal, ...]) -> None:
        for refusal in refused:
            name = self._config.cameras.names[refusal.frame.camera]
            self._node.get_logger().warning(
                f"{name}: frame not used: {refusal.cause}: {refusal.reason}",
                throttle_duration_sec=5.0,
            )

    def _counts_status(self, warnings: list[str]) -> WindowStatus:
        """A status that says nothing of a window."""
        status = WindowStatus(cameras=list(self._config.cameras.names), warnings=warnings)
        status.header = header(self._node.get_clock().now().nanoseconds, self._frames.fixed)
        fill_counts(ENCODER, status, self.pipeline.counts())
        return status

    def _send_status(self, status: WindowStatus) -> None:
        self._status_sent = time.monotonic()
        self._outputs.publish_status(status)
