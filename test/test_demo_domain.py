# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The domain that the demo takes is nobody's."""

from __future__ import annotations

from vggt4d_ros.demo import domain


def test_domain_is_told_from_the_names_of_shared_memory_ports():
    names = [
        "fastrtps_port12161",  # 7400 + 250 x 19 + 11
        "sem.fastrtps_port12413_mutex",  # 7400 + 250 x 20 + 13
        "fastrtps_port7411_el",
        "fastrtps_0393664a173bf062",
        "pulse-shm-1",
    ]

    assert domain.domains_in_use(names) == {0, 19, 20}


def test_domains_with_files_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(domain, "SHARED_MEMORY", tmp_path)
    for number in domain.DOMAINS:
        if number != 220:
            (tmp_path / f"fastrtps_port{7400 + 250 * number + 10}").touch()

    assert {domain.free_domain() for _ in range(20)} == {220}


def test_a_domain_is_given_also_where_all_are_taken_or_there_is_no_shared_memory(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(domain, "SHARED_MEMORY", tmp_path)
    for number in domain.DOMAINS:
        (tmp_path / f"fastrtps_port{7400 + 250 * number}").touch()
    assert domain.free_domain() in domain.DOMAINS

    monkeypatch.setattr(domain, "SHARED_MEMORY", tmp_path / "nowhere")
    assert domain.free_domain() in domain.DOMAINS
