/** RLIMIT_MEMLOCK: how much memory the kernel lets us pin, which the chunks of AF_XDP sockets are. It does not bind with CAP_IPC_LOCK. */
import { RLIMIT, RLIMIT_MEMLOCK } from './abi/process.js'
import type { Kernel } from './system.js'

/** RLIM_INFINITY. */
const UNLIMITED = 0xffff_ffff_ffff_ffffn

const REMEDY =
  'ulimit -l unlimited in the shell that starts it (as root), in a systemd unit LimitMEMLOCK=infinity, for a container --ulimit memlock=-1, ' +
  'or CAP_IPC_LOCK, once: sudo setcap cap_ipc_lock,cap_net_raw,cap_net_admin,cap_bpf+ep "$(readlink -f "$(which node)")"'

/** Raises the soft limit of this process to the hard one, which takes no privilege. Where that fails, so does what needs the memory. */
export function raiseMemlock(kernel: Kernel): void {
  const limit = readLimit(kernel)
  if (limit === undefined) return
  const soft = limit.getBigUint64(RLIMIT.rlim_cur, true)
  const hard = limit.getBigUint64(RLIMIT.rlim_max, true)
  if (soft === hard) return
  limit.setBigUint64(RLIMIT.rlim_cur, hard, true)
  kernel.setrlimit(RLIMIT_MEMLOCK, new Uint8Array(limit.buffer))
}

/** With the soft limit at the hard one meanwhile, as a capture has it, and afterwards as it was. */
export function withRaisedMemlock<T>(kernel: Kernel, run: () => T): T {
  const before = readLimit(kernel)
  raiseMemlock(kernel)
  try {
    return run()
  } finally {
    if (before !== undefined) kernel.setrlimit(RLIMIT_MEMLOCK, new Uint8Array(before.buffer))
  }
}

/**
 * What to do when the kernel refuses to pin so many bytes. setsockopt(XDP_UMEM_REG) answers ENOBUFS for the limit, and ENOMEM when
 * there is no memory.
 */
export function memlockHint(kernel: Kernel, bytes: number): string {
  const needed = `${Math.ceil(bytes / 1024)} KiB`
  const soft = readLimit(kernel)?.getBigUint64(RLIMIT.rlim_cur, true)
  if (soft === UNLIMITED) return `RLIMIT_MEMLOCK is unlimited, so it is memory that is short: ${needed} are needed`
  if (soft === undefined) return `RLIMIT_MEMLOCK must allow ${needed}: ${REMEDY}`
  // The kernel counts by user, not by process.
  const others = soft >= BigInt(bytes) ? ' beside what this user has pinned already' : ''
  return `RLIMIT_MEMLOCK is ${soft / 1024n} KiB, needed are ${needed}${others}: ${REMEDY}`
}

function readLimit(kernel: Kernel): DataView<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(new ArrayBuffer(RLIMIT.sizeof))
  return kernel.getrlimit(RLIMIT_MEMLOCK, bytes) < 0 ? undefined : new DataView(bytes.buffer)
}
