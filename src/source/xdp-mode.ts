/** The modes of XDP on an interface, and the way down from one that does not go to the next. */
import { CaptureError } from '../errors.js'
import { EINVAL, ENOSPC, ENOTSUPP, EOPNOTSUPP, EPROTONOSUPPORT, ERANGE, errnoName, errnoText } from '../kernel/errno.js'

/** `zero-copy`: the NIC writes into our memory. `native`: the driver runs the program and copies. `generic`: the stack does both, of an skb. */
export const XDP_MODES = ['zero-copy', 'native', 'generic'] as const
export type XdpMode = (typeof XDP_MODES)[number]

/** A mode that did not go. */
export interface TriedMode<Mode extends XdpMode> {
  mode: Mode
  reason: string
}

/**
 * Tries the modes, at least one, in their order until one goes. `attempt` answers why its mode does not, and throws what would fail
 * in any other as well.
 * @throws CaptureError what was answered for the last one
 */
export function takeFirstMode<Mode extends XdpMode>(
  modes: readonly Mode[],
  attempt: (mode: Mode) => CaptureError | undefined,
): { mode: Mode; tried: TriedMode<Mode>[] } {
  const tried: TriedMode<Mode>[] = []
  let refused: CaptureError | undefined
  for (const mode of modes) {
    refused = attempt(mode)
    if (refused === undefined) return { mode, tried }
    tried.push({ mode, reason: reasonOf(refused) })
  }
  throw refused
}

function reasonOf({ syscall, errno = 0 }: CaptureError): string {
  return `${syscall ?? 'attach'}: ${errnoName(errno)}, ${errnoText(errno)}`
}

/** What the kernel answers where the driver, or the interface as it is set up, does not take a program in a mode. */
export const NO_SUCH_PROGRAM_MODE: ReadonlySet<number> = new Set([EINVAL, ENOSPC, ERANGE, EOPNOTSUPP])
/** The same of AF_XDP: of its program and its sockets. */
export const NO_SUCH_SOCKET_MODE: ReadonlySet<number> = new Set([...NO_SUCH_PROGRAM_MODE, ENOTSUPP, EPROTONOSUPPORT])

export function isOfMode(error: unknown, answers: ReadonlySet<number>): error is CaptureError {
  return error instanceof CaptureError && error.errno !== undefined && answers.has(error.errno)
}
