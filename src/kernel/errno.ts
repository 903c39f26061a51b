/** errno: by name, as text, and as the error that a failed call becomes. */
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import { CaptureError, type CaptureErrorCode } from '../errors.js'

/** Names that Node's own table lacks, or has by another name. ENOTSUPP is a Linux-internal number that leaks out of bpf(2) and some drivers. */
const LINUX_ONLY: Readonly<Record<number, string>> = { 95: 'EOPNOTSUPP', 524: 'ENOTSUPP', 76: 'ENOTUNIQ', 64: 'ENONET', 132: 'ERFKILL', 133: 'EHWPOISON' }

export const EPERM = 1
export const ENOENT = 2
export const EINTR = 4
export const EIO = 5
export const ENXIO = 6
export const E2BIG = 7
export const EAGAIN = 11
export const ENOMEM = 12
export const EACCES = 13
export const EBUSY = 16
export const EEXIST = 17
export const ENODEV = 19
export const EISDIR = 21
export const EINVAL = 22
export const EFBIG = 27
export const ENOSPC = 28
export const EROFS = 30
export const EPIPE = 32
export const ERANGE = 34
export const EMSGSIZE = 90
export const EPROTONOSUPPORT = 93
export const EOPNOTSUPP = 95
export const EADDRINUSE = 98
export const ENETDOWN = 100
export const ENOBUFS = 105
export const ECANCELED = 125
/** Linux-internal, but bpf(2) answers it: this type of map or program has no such operation. */
export const ENOTSUPP = 524

const names = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/** `errnoName(19)` is `'ENODEV'`. */
export function errnoName(errno: number): string {
  return LINUX_ONLY[errno] ?? getSystemErrorMap().get(-errno)?.[0] ?? names.get(errno) ?? `errno ${errno}`
}

/** `errnoText(19)` is `'no such device'`. */
export function errnoText(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? errnoName(errno)
}

/** What loading, attaching and running programs takes. */
export const CAP_BPF = 'CAP_BPF and CAP_NET_ADMIN (before Linux 5.8 CAP_SYS_ADMIN)'

const GRANT: Readonly<Record<string, string>> = {
  CAP_NET_RAW: 'run as root, or once: sudo setcap cap_net_raw,cap_net_admin+eip "$(readlink -f "$(which node)")"',
  CAP_NET_ADMIN: 'run as root, or once: sudo setcap cap_net_raw,cap_net_admin+eip "$(readlink -f "$(which node)")"',
  [CAP_BPF]:
    'run as root, or once: sudo setcap cap_bpf,cap_net_admin,cap_net_raw+eip "$(readlink -f "$(which node)")"; ' +
    'in a systemd unit: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF; kernel.unprivileged_bpf_disabled makes no difference',
  CAP_SYS_ADMIN: 'run as root: changing network namespaces and live frames need CAP_SYS_ADMIN',
}

export interface FailedCall {
  /** What it was done for: an interface and worker, a namespace. */
  subject: string
  /** The call with its values: `setsockopt(PACKET_RX_RING, tp_block_size=1048576 tp_block_nr=64)`. */
  call: string
  /** Positive errno, or the negative result that carries it. */
  errno: number
  code?: CaptureErrorCode
  hint?: string
  /** What the kernel said besides. */
  detail?: string
  /** The capability whose lack shows as EPERM or EACCES here; names the remedy. */
  capability?: keyof typeof GRANT & string
}

/** The error for a call that failed: `eth0: bind(ETH_P_ALL): ENETDOWN (network is down)`. */
export function callFailed(failed: FailedCall): CaptureError {
  const errno = Math.abs(failed.errno)
  const name = errnoName(errno)
  const denied = (errno === EPERM || errno === EACCES) && failed.capability !== undefined
  const reason = denied ? `${name}: permission denied, ${failed.capability} is missing` : `${name} (${errnoText(errno)})`
  const message = `${failed.subject}: ${failed.call}: ${reason}${failed.detail === undefined ? '' : `: ${failed.detail}`}`
  return new CaptureError(denied ? 'PERMISSION' : (failed.code ?? 'SYSTEM_CALL_FAILED'), message, {
    syscall: failed.call,
    errno,
    errnoName: name,
    hint: denied ? GRANT[failed.capability as string] : failed.hint,
  })
}
