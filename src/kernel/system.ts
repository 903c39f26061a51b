/**
 * The one door to Linux: system calls as plain functions over koffi, and the interface through which everything above
 * takes them, so that a test may put a fake in its place. No policy here.
 *
 * Every call answers as the kernel itself does: 0 or more on success, `-errno` on failure; nothing throws. errno is read at
 * once on the calling thread. A synchronous call costs about 55 ns above the bare system call (KERNEL.md, 64).
 */
import { endianness } from 'node:os'
import koffi from 'koffi'
import { CaptureError } from '../errors.js'
import { _SC_PAGESIZE } from './abi/process.js'

export interface Kernel {
  readonly pageSize: number
  socket(family: number, type: number, protocol: number): number
  close(fd: number): number
  open(path: string, flags: number): number
  read(fd: number, into: Uint8Array): number
  write(fd: number, from: Uint8Array): number
  pwrite(fd: number, from: Uint8Array, offset: number): number
  /** Answers where the descriptor then stands. */
  lseek(fd: number, offset: number, whence: number): number
  bind(fd: number, address: Uint8Array): number
  sendto(fd: number, bytes: Uint8Array, flags: number, address?: Uint8Array): number
  recv(fd: number, into: Uint8Array, flags: number): number
  setsockopt(fd: number, level: number, option: number, value: Uint8Array): number
  /** Answers the length that the kernel filled in. */
  getsockopt(fd: number, level: number, option: number, value: Uint8Array): number
  ioctl(fd: number, request: number, argument: Uint8Array): number
  /** Answers the address, or -errno. `address` 0n lets the kernel choose; `offset` into the file is 0 when absent. */
  mmap(address: bigint, length: number, protection: number, flags: number, fd: number, offset?: number): bigint
  munmap(address: bigint, length: number): number
  /** Memory as an ArrayBuffer. It cannot be detached: what stands behind it must never be unmapped while it can be read. */
  view(address: bigint, length: number): ArrayBuffer
  /** Where a buffer's bytes are; stable for an ArrayBuffer (not for a small typed array of its own) while it is referenced. */
  addressOf(buffer: ArrayBuffer): bigint
  poll(pollfds: Uint8Array, count: number, timeoutMs: number): number
  /** `vector` is the address of an array of struct mmsghdr. The timeout argument, which is broken, is not offered. */
  recvmmsg(fd: number, vector: bigint, count: number, flags: number): number
  /** `vector` is the address of an array of struct mmsghdr. Answers how many were sent; -errno is that of the first. */
  sendmmsg(fd: number, vector: bigint, count: number, flags: number): number
  /** Goes with the last descriptor of this opening. */
  flock(fd: number, operation: number): number
  eventfd(initial: number, flags: number): number
  /** Memory that has a descriptor, so that any thread can map it. */
  memfdCreate(name: string, flags: number): number
  ftruncate(fd: number, length: number): number
  /** Allocates the pages of a file up to `length`: what is missing shows here, and not as a SIGBUS later. */
  fallocate(fd: number, length: number): number
  /** Begins a file system of this type; since Linux 5.2, as the next two. */
  fsopen(type: string, flags: number): number
  /** FSCONFIG_CMD_CREATE and other commands without key and value. */
  fsconfig(fd: number, command: number): number
  /** Answers a descriptor of a mount that stands nowhere, and goes with its last descriptor. */
  fsmount(fd: number, flags: number, attributes: number): number
  setns(fd: number, type: number): number
  unshare(flags: number): number
  /** Acts on the calling thread. */
  schedSetaffinity(mask: Uint8Array): number
  schedGetaffinity(mask: Uint8Array): number
  prctl(option: number, argument: Uint8Array | number): number
  gettid(): number
  /** Reads struct rlimit of this process. */
  getrlimit(resource: number, limit: Uint8Array): number
  setrlimit(resource: number, limit: Uint8Array): number
  /** Fills struct rusage. */
  getrusage(who: number, usage: Uint8Array): number
  clockGettime(clock: number, timespec: Uint8Array): number
  membarrier(command: number): number
  bpf(command: number, attributes: Uint8Array): number
}

/** Calls that glibc has no function for. */
const CALL_NUMBERS: Readonly<Record<string, { bpf: number; membarrier: number; gettid: number }>> = {
  x64: { bpf: 321, membarrier: 324, gettid: 186 },
  arm64: { bpf: 280, membarrier: 283, gettid: 178 },
  riscv64: { bpf: 280, membarrier: 283, gettid: 178 },
  loong64: { bpf: 280, membarrier: 283, gettid: 178 },
  ppc64: { bpf: 361, membarrier: 365, gettid: 207 },
}

/** From Linux 5.1 on, a new call has one number on all machines. */
const SYS_FSOPEN = 430
const SYS_FSCONFIG = 431
const SYS_FSMOUNT = 432

const MAP_FAILED = 0xffff_ffff_ffff_ffffn

let opened: Kernel | undefined

/**
 * The kernel of this machine, one a thread.
 * @throws CaptureError UNSUPPORTED_PLATFORM off Linux, on a 32-bit or a big-endian machine.
 */
export function openKernel(): Kernel {
  opened ??= load()
  return opened
}

function load(): Kernel {
  const numbers = CALL_NUMBERS[process.arch]
  if (process.platform !== 'linux' || endianness() !== 'LE' || numbers === undefined) {
    throw new CaptureError('UNSUPPORTED_PLATFORM', `ringtap needs 64-bit little-endian Linux, this is ${process.platform} ${process.arch} ${endianness()}`)
  }
  const libc = koffi.load(null)
  const errno = koffi.errno as () => number
  /** A call that answers an int: -1 becomes -errno. */
  const call = (prototype: string): ((...values: unknown[]) => number) => {
    const native = libc.func(prototype) as (...values: unknown[]) => number
    return (...values) => {
      const result = native(...values)
      return result === -1 ? -errno() : result
    }
  }
  // Hot calls are written out: a rest parameter costs an array a call.
  const nativePoll = libc.func('int poll(void *fds, unsigned long n, int timeout)') as (fds: Uint8Array, n: number, timeout: number) => number
  const nativeRecvmmsg = libc.func('int recvmmsg(int fd, void *vector, unsigned int n, int flags, void *timeout)') as (
    fd: number,
    vector: bigint,
    n: number,
    flags: number,
    timeout: null,
  ) => number
  const nativeSendmmsg = libc.func('int sendmmsg(int fd, void *vector, unsigned int n, int flags)') as (
    fd: number,
    vector: bigint,
    n: number,
    flags: number,
  ) => number
  const nativeMmap = libc.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)') as (
    address: bigint,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => bigint | null
  const sysconf = libc.func('long sysconf(int name)') as (name: number) => number

  const socket = call('int socket(int family, int type, int protocol)')
  const close = call('int close(int fd)')
  // open, ioctl, prctl and syscall are variadic; on every supported machine their arguments travel as a plain call's do.
  const open = call('int open(const char *path, int flags, unsigned int mode)')
  const read = call('int64_t read(int fd, void *into, size_t length)')
  const write = call('int64_t write(int fd, const void *from, size_t length)')
  const pwrite = call('int64_t pwrite(int fd, const void *from, size_t length, int64_t offset)')
  const lseek = call('int64_t lseek(int fd, int64_t offset, int whence)')
  const bind = call('int bind(int fd, const void *address, unsigned int length)')
  const sendto = call('int64_t sendto(int fd, const void *bytes, size_t length, int flags, const void *address, unsigned int address_length)')
  const recv = call('int64_t recv(int fd, void *into, size_t length, int flags)')
  const setsockopt = call('int setsockopt(int fd, int level, int option, const void *value, unsigned int length)')
  const getsockopt = call('int getsockopt(int fd, int level, int option, void *value, void *length)')
  const ioctl = call('int ioctl(int fd, unsigned long request, void *argument)')
  const munmap = call('int munmap(void *address, size_t length)')
  const memfdCreate = call('int memfd_create(const char *name, unsigned int flags)')
  const ftruncate = call('int ftruncate(int fd, int64_t length)')
  const fallocate = call('int fallocate(int fd, int mode, int64_t offset, int64_t length)')
  const getrlimit = call('int getrlimit(int resource, void *limit)')
  const setrlimit = call('int setrlimit(int resource, const void *limit)')
  const flock = call('int flock(int fd, int operation)')
  const eventfd = call('int eventfd(unsigned int initial, int flags)')
  const setns = call('int setns(int fd, int type)')
  const unshare = call('int unshare(int flags)')
  const schedSetaffinity = call('int sched_setaffinity(int pid, size_t length, const void *mask)')
  const schedGetaffinity = call('int sched_getaffinity(int pid, size_t length, void *mask)')
  const prctlPointer = call('int prctl(int option, void *argument, long b, long c, long d)')
  const prctlNumber = call('int prctl(int option, long argument, long b, long c, long d)')
  const getrusage = call('int getrusage(int who, void *usage)')
  const clockGettime = call('int clock_gettime(int clock, void *timespec)')
  // NB: all seven. syscall(3) reads the last one from the stack whether the call needs it or not, and koffi's stack ends right
  // behind what a call was given: with fewer it is a SIGSEGV, or not, by what happens to be mapped there.
  const syscallPointer = call('long syscall(long number, long command, void *attributes, long size, long d, long e, long f)')
  const syscallText = call('long syscall(long number, const char *text, long b, long c, long d, long e, long f)')
  const syscallNumbers = call('long syscall(long number, long a, long b, long c, long d, long e, long f)')

  return {
    pageSize: sysconf(_SC_PAGESIZE),
    socket,
    close,
    open: (path, flags) => open(path, flags, 0),
    read: (fd, into) => read(fd, into, into.byteLength),
    write: (fd, from) => write(fd, from, from.byteLength),
    pwrite: (fd, from, offset) => pwrite(fd, from, from.byteLength, offset),
    lseek,
    bind: (fd, address) => bind(fd, address, address.byteLength),
    sendto: (fd, bytes, flags, address) => sendto(fd, bytes, bytes.byteLength, flags, address ?? null, address?.byteLength ?? 0),
    recv: (fd, into, flags) => recv(fd, into, into.byteLength, flags),
    setsockopt: (fd, level, option, value) => setsockopt(fd, level, option, value, value.byteLength),
    getsockopt(fd, level, option, value) {
      const length = new Uint32Array([value.byteLength])
      const result = getsockopt(fd, level, option, value, length)
      return result < 0 ? result : (length[0] as number)
    },
    ioctl,
    mmap(address, length, protection, flags, fd, offset = 0) {
      const result = nativeMmap(address, length, protection, flags, fd, offset)
      return result === null || result === MAP_FAILED ? BigInt(-errno()) : result
    },
    munmap,
    view: (address, length) => koffi.view(address, length),
    addressOf: (buffer) => koffi.address(buffer),
    poll(pollfds, count, timeoutMs) {
      const result = nativePoll(pollfds, count, timeoutMs)
      return result === -1 ? -errno() : result
    },
    recvmmsg(fd, vector, count, flags) {
      const result = nativeRecvmmsg(fd, vector, count, flags, null)
      return result === -1 ? -errno() : result
    },
    sendmmsg(fd, vector, count, flags) {
      const result = nativeSendmmsg(fd, vector, count, flags)
      return result === -1 ? -errno() : result
    },
    flock,
    eventfd,
    memfdCreate,
    ftruncate,
    fallocate: (fd, length) => fallocate(fd, 0, 0, length),
    fsopen: (type, flags) => syscallText(SYS_FSOPEN, type, flags, 0, 0, 0, 0),
    fsconfig: (fd, command) => syscallNumbers(SYS_FSCONFIG, fd, command, 0, 0, 0, 0),
    fsmount: (fd, flags, attributes) => syscallNumbers(SYS_FSMOUNT, fd, flags, attributes, 0, 0, 0),
    setns,
    unshare,
    schedSetaffinity: (mask) => schedSetaffinity(0, mask.byteLength, mask),
    schedGetaffinity: (mask) => schedGetaffinity(0, mask.byteLength, mask),
    prctl: (option, argument) => (typeof argument === 'number' ? prctlNumber(option, argument, 0, 0, 0) : prctlPointer(option, argument, 0, 0, 0)),
    gettid: () => syscallNumbers(numbers.gettid, 0, 0, 0, 0, 0, 0),
    getrlimit,
    setrlimit,
    getrusage,
    clockGettime,
    membarrier: (command) => syscallNumbers(numbers.membarrier, command, 0, 0, 0, 0, 0),
    bpf: (command, attributes) => syscallPointer(numbers.bpf, command, attributes, attributes.byteLength, 0, 0, 0),
  }
}
