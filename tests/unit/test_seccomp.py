"""The list of system calls that a program may make."""

import json

from sandbox.seccomp import ALLOWED, DENIED, profile

DENIED_CALLS = {name for names in DENIED.values() for name in names.split()}


def rules() -> list[dict[str, object]]:
    found = json.loads(profile())["syscalls"]
    assert isinstance(found, list)
    return found


def test_what_is_not_named_is_refused() -> None:
    loaded = json.loads(profile())
    assert loaded["defaultAction"] == "SCMP_ACT_ERRNO" and loaded["defaultErrnoRet"] == 1


def test_no_denied_call_is_allowed_under_any_rule() -> None:
    allowed = {name for rule in rules() if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}  # type: ignore[attr-defined]
    assert not allowed & DENIED_CALLS
    assert {"ptrace", "process_vm_writev", "pidfd_getfd", "keyctl", "io_uring_setup", "unshare", "bpf"} <= DENIED_CALLS
    assert len(ALLOWED) == len(set(ALLOWED))


def test_only_plain_socket_families() -> None:
    assert "socket" not in ALLOWED and "socketcall" not in ALLOWED
    families = [rule["args"][0]["value"] for rule in rules() if rule["names"] == ["socket"]]  # type: ignore[index]
    assert families == [1, 2, 10]
    pairs = [rule["args"][0]["value"] for rule in rules() if "socketpair" in rule["names"]]  # type: ignore[index, operator]
    assert pairs == [1]


def test_clone_cannot_make_namespaces_and_clone3_does_not_exist() -> None:
    clone = next(rule for rule in rules() if rule["names"] == ["clone"])
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    clone3 = next(rule for rule in rules() if rule["names"] == ["clone3"])
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_no_32_bit_calls() -> None:
    assert all(arch["subArchitectures"] == [] for arch in json.loads(profile())["archMap"])
