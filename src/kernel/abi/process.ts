/** sys/mman.h, linux/memfd.h, poll.h, sys/eventfd.h, sched.h, sys/prctl.h, linux/membarrier.h, sys/resource.h, bits/fcntl.h, sys/file.h. */

export const PROT_NONE = 0
export const PROT_READ = 1
export const PROT_WRITE = 2
export const MAP_SHARED = 0x01
export const MAP_PRIVATE = 0x02
export const MAP_FIXED = 0x10
export const MAP_ANONYMOUS = 0x20
export const MAP_NORESERVE = 0x4000
export const MAP_POPULATE = 0x8000
/** Pages of 2 MiB or whatever the default is; from the pool of vm.nr_hugepages. */
export const MAP_HUGETLB = 0x40000
/** Since Linux 4.17; a mere hint before. */
export const MAP_FIXED_NOREPLACE = 0x100000

export const POLLIN = 0x001
export const POLLOUT = 0x004
export const POLLERR = 0x008
export const POLLHUP = 0x010
export const POLLNVAL = 0x020

/** struct pollfd. */
export const POLLFD = { fd: 0, events: 4, revents: 6, sizeof: 8 } as const

export const EFD_CLOEXEC = 0o2000000
export const EFD_NONBLOCK = 0o4000

export const CLONE_NEWNET = 0x40000000

export const PR_SET_NAME = 15
export const PR_SET_PDEATHSIG = 1
export const SIGTERM = 15
export const SIGKILL = 9

/** Waits for an RCU grace period: no softirq that began before it is still running. Since Linux 4.3. */
export const MEMBARRIER_CMD_GLOBAL = 1

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000

export const LOCK_EX = 2
export const LOCK_NB = 4

export const SEEK_SET = 0
export const SEEK_CUR = 1
export const SEEK_END = 2

/** Since Linux 2.6.26. */
export const RUSAGE_THREAD = 1
/** struct rusage: the two leading timevals. */
export const RUSAGE = { ru_utime: 0, ru_stime: 16, sizeof: 144 } as const

/** getsid-free clock ids. */
export const CLOCK_REALTIME = 0
export const CLOCK_MONOTONIC = 1
export const CLOCK_THREAD_CPUTIME_ID = 3
/** struct timespec. */
export const TIMESPEC = { tv_sec: 0, tv_nsec: 8, sizeof: 16 } as const

export const _SC_PAGESIZE = 30

export const MFD_CLOEXEC = 0x1
export const MFD_HUGETLB = 0x4

export const RLIMIT_MEMLOCK = 8
/** struct rlimit, 64-bit. */
export const RLIMIT = { rlim_cur: 0, rlim_max: 8, sizeof: 16 } as const
