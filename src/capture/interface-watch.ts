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

export class InterfaceWatch {
  readonly #kernel: Kernel
  readonly #fd: number
  readonly #name: string
  readonly #index: number
  readonly #report: (type: 'interface-down' | 'interface-up') => void
  #down = false

  constructor(kernel: Kernel, fd: number, name: string, index: number, report: (type: 'interface-down' | 'interface-up') => void) {
    this.#kernel = kernel
    this.#fd = fd
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
    if (errno !== ENETDOWN) throw callFailed({ subject: this.#name, call: 'packet socket', errno })
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

  /** Looks whether an interface that was down is up again; nothing while it is up. */
  tick(): void {
    if (!this.#down) return
    if ((this.#flags() & IFF_UP) === 0) return
    this.#down = false
    this.#report('interface-up')
  }

  #flags(): number {
    const flags = interfaceFlags(this.#kernel, this.#fd, this.#index)
    if (flags !== undefined) return flags
    throw new CaptureError('INTERFACE_REMOVED', `${this.#name}: the interface was removed`, {
      errno: ENODEV,
      errnoName: 'ENODEV',
      hint: 'it was deleted, unplugged or moved to another network namespace; start the capture again when it is back',
    })
  }
}
