"""The system calls that a program may make: an allow-list, so a call that nobody thought of is refused.

It starts from what Docker's default profile allows an unprivileged container and leaves out what a program that is
only to be judged has no use for. `DENIED` names those with the reason, so that the difference can be read and tested.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

ALLOWED = """
accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr
fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list
getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get kill lchown lgetxattr link
linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create mincore mkdir
mkdirat mlock mlock2 mlockall mmap mprotect mremap msync munlock munlockall munmap nanosleep newfstatat open openat
openat2 pause pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield select sendfile sendmmsg sendmsg sendto
set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid
setresuid setreuid setrlimit setsid setsockopt setuid setxattr shutdown sigaltstack signalfd signalfd4 splice
stat statfs statx symlink symlinkat sync_file_range sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask
uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
""".split()

DENIED = {
    "looking into other processes": "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp "
    "pidfd_open pidfd_getfd pidfd_send_signal",
    "state that outlives a process": "add_key keyctl request_key mq_open mq_unlink mq_timedsend mq_timedreceive "
    "mq_notify mq_getsetattr msgget msgsnd msgrcv msgctl semget semop semtimedop semctl shmget shmat shmdt shmctl",
    "large attack surface in the kernel": "io_uring_setup io_uring_enter io_uring_register io_setup io_submit "
    "io_cancel io_destroy io_getevents io_pgetevents userfaultfd bpf perf_event_open memfd_secret fanotify_init "
    "fanotify_mark landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp modify_ldt "
    "name_to_handle_at open_by_handle_at lookup_dcookie",
    "new namespaces and file systems": "unshare setns mount umount2 pivot_root chroot move_mount open_tree fsopen "
    "fsconfig fsmount fspick mount_setattr mknod mknodat",
    "the machine": "adjtimex clock_adjtime clock_settime settimeofday reboot swapon swapoff kexec_load "
    "kexec_file_load init_module finit_module delete_module acct quotactl syslog sethostname setdomainname iopl ioperm "
    "vhangup nfsservctl sync syncfs ioprio_set mbind set_mempolicy get_mempolicy migrate_pages move_pages",
}

NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
ENOSYS = 38
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
PLAIN_PERSONALITIES = (0x0, 0xFFFFFFFF)


def _allow(name: str, *arguments: dict[str, int | str]) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": list(arguments)}


def _equals(value: int) -> dict[str, int | str]:
    return {"index": 0, "value": value, "op": "SCMP_CMP_EQ"}


@cache
def profile() -> str:
    """The profile as JSON, in the shape that Docker's `seccomp=` option takes.

    Only 64-bit calls are known: on i386 and x32 one call (`socketcall`) would hide which socket family is asked for.
    clone3 hides its flags from the filter, so it does not exist here and libc falls back to clone.
    """
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
            ],
            "syscalls": [
                {"names": ALLOWED, "action": "SCMP_ACT_ALLOW"},
                *(_allow("socket", _equals(family)) for family in (AF_UNIX, AF_INET, AF_INET6)),
                _allow("socketpair", _equals(AF_UNIX)),  # asking for another family loads that family's module
                *(_allow("personality", _equals(persona)) for persona in PLAIN_PERSONALITIES),
                _allow("clone", {"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}),
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
            ],
        }
    )
