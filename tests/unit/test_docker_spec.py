"""Every hardening setting of a container, in one place."""

from sandbox.docker_spec import MIB, PRELOAD, Shape, boot_config, container_config, guest_sources, host_config
from sandbox.types import Limits

SHAPE = Shape.of("python", Limits(memory_mb=100, pids=7, disk_mb=5, output_bytes=1 * MIB))


def test_everything_that_can_be_taken_away_is() -> None:
    host = host_config(SHAPE, None, None)
    assert host["network_mode"] == "none" and host["ipc_mode"] == "private"
    assert host["read_only"] is True and host["init"] is True and host["auto_remove"] is True
    assert host["cap_drop"] == ["ALL"] and sorted(host["cap_add"]) == ["KILL", "SETGID", "SETUID"]
    assert host["security_opt"][0] == "no-new-privileges" and host["security_opt"][1].startswith("seccomp={")
    assert host["log_config"] == {"Type": "none"}
    assert host["sysctls"] == {"net.ipv4.tcp_max_tw_buckets": "0"}
    assert "binds" not in host and "privileged" not in host and "devices" not in host
    config = container_config("image", {})
    assert config["tty"] is False and "volumes" not in config
    assert set(config["environment"]) == {"PATH", "LANG"}


def test_limits_become_the_container_s() -> None:
    host = host_config(SHAPE, None, "/atlas")
    assert host["mem_limit"] == host["memswap_limit"] == (100 + 32 + 4) * MIB
    assert host["pids_limit"] == 7 + 2
    assert host["nano_cpus"] == 1_000_000_000
    assert set(host["tmpfs"]["/box"].split(",")) == {
        "size=5m",
        "nr_inodes=4096",
        "mode=1777",
        "nosuid",
        "nodev",
        "noexec",
    }
    assert {limit["Name"]: limit["Hard"] for limit in host["ulimits"]} == {"core": 0, "nofile": 256, "fsize": 16 * MIB}
    assert (host["runtime"], host["cgroup_parent"]) == (None, "/atlas")


def test_gvisor_s_own_kernel_gets_room_of_its_own() -> None:
    plain, gvisor = host_config(SHAPE, None, None), host_config(SHAPE, "runsc", None)
    assert gvisor["runtime"] == "runsc" and gvisor["init"] is False
    assert gvisor["mem_limit"] == gvisor["memswap_limit"] == plain["mem_limit"] + 64 * MIB
    assert gvisor["pids_limit"] == plain["pids_limit"] + 200
    same = set(plain) - {"runtime", "init", "mem_limit", "memswap_limit", "pids_limit"}
    assert all(plain[name] == gvisor[name] for name in same)


def test_disk_is_smaller_than_memory_because_a_tmpfs_lies_in_memory() -> None:
    for limits in (Limits(), Limits(memory_mb=16, disk_mb=4096)):
        shape = Shape.of("python", limits)
        size = host_config(shape, None, None)["tmpfs"]["/box"].split(",")[0]
        assert int(size.removeprefix("size=").removesuffix("m")) <= shape.memory_mb // 2


def test_clocks_do_not_change_the_shape() -> None:
    assert Shape.of("python", Limits(wall_s=1, cpu_s=1)) == Shape.of("python", Limits(wall_s=9, cpu_s=9))
    assert Shape.of("python", Limits(memory_mb=64)) != Shape.of("python", Limits(memory_mb=65))


def test_the_guest_gets_its_own_modules_and_nothing_of_the_host_s() -> None:
    sources = guest_sources()
    assert {"sandbox.guest.loader", "sandbox.guest.supervisor", "sandbox.guest.child"} <= set(sources)
    assert all(name.startswith("sandbox.guest") for name in sources if sources[name])
    assert "sandbox.types" not in sources
    for text in sources.values():
        assert "import pydantic" not in text and "from sandbox.types" not in text


def test_boot_leaves_room_to_reserve_addresses_but_not_without_end() -> None:
    boot = boot_config(SHAPE, 60)
    assert boot["address_space"] == 4096 * MIB and boot["preload"] == list(PRELOAD)
    assert boot_config(Shape.of("python", Limits(memory_mb=2048)), 60)["address_space"] == 8192 * MIB
