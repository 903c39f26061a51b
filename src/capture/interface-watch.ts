/**
 * What happens to a worker's interface while it captures. The kernel tells a packet socket once, by ENETDOWN (packet_notifier in
 * net/packet/af_packet.c), for down and for unregistered alike; up again, it re-registers the socket without a word.
 */
import { CaptureError } from '../errors.js'
import { IFF_UP } from '../kernel/abi/if.js'
import { SO_ERROR, SOL_SOCKET } from '../kernel/abi/socket.js'
import { callFailed, ENETDOWN, ENODEV } from '../kernel/errno.js'
import { interfaceFlags } from '../kernel/interface.js'
import { getInt } from '../kernel/options.js'
import type { Kernel } from '../kernel/system.js'

/** Two system calls. */
const LOOK_MS = 100

export class InterfaceWatch {
  readonly #kernel: Kernel
  readonly #fd: number
  /** For questions about the interface. */
  readonly #control: number
  /** The socket does not tell when the interface goes down: it is looked at now and then. */
  readonly #looks: boolean
  readonly #name: string
  readonly #index: number
  readonly #report: (type: 'interface-down' | 'interface-up') => void
  #down = false
  #lookedAt = 0

  /** `controlFd` is a packet socket of the interface's namespace where `fd` is none: AF_XDP sockets know no interface ioctls and are told of removal only. */
  constructor(
    kernel: Kernel,
    { fd, controlFd, name, index }: { fd: number; controlFd: number | undefined; name: string; index: number },
    report: (type: 'interface-down' | 'interface-up') => void,
  ) {
    this.#kernel = kernel
    this.#fd = fd
    this.#control = controlFd ?? fd
    this.#looks = controlFd !== undefined
    this.#name = name
    this.#index = index
    this.#report = report
  }

  /** poll(2) said POLLERR: takes the error from the socket, else poll would return at once for ever. */
  pendingError(): void {
    const errno = getInt(this.#kernel, this.#fd, SOL_SOCKET, SO_ERROR)
    if (errno !== 0) this.socketError(Math.abs(errno))
  }

  /** @throws CaptureError INTERFACE_REMOVED, or any other error of the socket. */
  socketError(errno: number): void {
    if (errno !== ENETDOWN) throw callFailed({ subject: this.#name, call: this.#looks ? 'AF_XDP socket' : 'packet socket', errno })
    const flags = this.#flags()
    if ((flags & IFF_UP) !== 0) {
      // Down and up again before we looked: both are told.
      this.#report('interface-down')
      this.#report('interface-up')
      this.#down = false
    } else if (!this.#down) {
      this.#down = true
      this.#report('interface-down')
    }
  }

  /** Looks whether an interface that was down is up again, and where the socket does not tell, whether it is down or gone. */
  tick(): void {
    if (!this.#down) {
      if (!this.#looks) return
      const now = performance.now()
      if (now - this.#lookedAt < LOOK_MS) return
      this.#lookedAt = now
    }
    const up = (this.#flags() & IFF_UP) !== 0
    if (up !== this.#down) return
    this.#down = !up
    this.#report(up ? 'interface-up' : 'interface-down')
  }

  #flags(): number {
    const flags = interfaceFlags(this.#kernel, this.#control, this.#index)
    if (flags !== undefined) return flags
    throw new CaptureError('INTERFACE_REMOVED', `${this.#name}: the interface was removed`, {
      errno: ENODEV,
      errnoName: 'ENODEV',
      hint: 'it was deleted, unplugged or moved to another network namespace; start the capture again when it is back',
    })
  }
}
