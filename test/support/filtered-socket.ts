/** The kernel as a judge of filters: a packet socket at one end of a veth takes what is sent at the other if its filter does. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeProgram, type Instruction } from '#src/bpf/classic.js'
import { SOCKADDR_LL } from '#src/kernel/abi/if_packet.js'
import { AF_PACKET, ETH_P_ALL, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_RAW } from '#src/kernel/abi/socket.js'
import { Descriptor } from '#src/kernel/descriptor.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { getLink, RouteSocket } from '#src/kernel/netlink.js'
import { attachFilter } from '#src/kernel/options.js'
import { openKernel } from '#src/kernel/system.js'
import { createTestbed, type Testbed } from '#src/testbed/index.js'
import { RawSender } from './live.js'
import { asReceived, type Received } from './received.js'

const EAGAIN = 11
const kernel = openKernel()

export class FilteredSocket implements Disposable {
  /** Of a frame that arrives for certain: the kernel drops a tagged one unless two bytes follow its tag's type (skb_vlan_untag, net/core/skbuff.c). */
  static readonly LEAST_BYTES = 20
  readonly interfaceIndex: number
  readonly macAddress: Uint8Array
  readonly #testbed: Testbed
  readonly #sender: RawSender
  readonly #filtered: Descriptor
  /** Has no filter: says when all have come. */
  readonly #all: Descriptor
  readonly #into = new Uint8Array(2 ** 16)

  constructor() {
    this.#testbed = createTestbed({ queues: 1 })
    this.#sender = new RawSender(this.#testbed.sender)
    const { netns, interface: name } = this.#testbed.receiver
    using namespace = openNamespace(kernel, netns)
    const opened = withNamespace(kernel, namespace, () => {
      using route = RouteSocket.open(kernel)
      const { index, address: macAddress } = getLink(route, name)
      const address = new DataView(new ArrayBuffer(SOCKADDR_LL.sizeof))
      address.setUint16(SOCKADDR_LL.sll_family, AF_PACKET, true)
      address.setUint16(SOCKADDR_LL.sll_protocol, ETH_P_ALL, false)
      address.setInt32(SOCKADDR_LL.sll_ifindex, index, true)
      const open = () => {
        const socket = new Descriptor(kernel, kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
        assert.equal(kernel.bind(socket.fd, new Uint8Array(address.buffer)), 0)
        return socket
      }
      // The kernel hands a packet to the socket that was bound last first.
      return { index, macAddress, all: open(), filtered: open() }
    })
    this.interfaceIndex = opened.index
    this.macAddress = opened.macAddress
    this.#filtered = opened.filtered
    this.#all = opened.all
  }

  /** 0 or -errno. */
  attach(program: readonly Instruction[]): number {
    const result = attachFilter(kernel, this.#filtered.fd, encodeProgram(program))
    while (this.#receive(this.#filtered) !== undefined);
    return result
  }

  received(frame: Uint8Array): Received {
    return asReceived(frame, this.interfaceIndex, this.macAddress)
  }

  /** Sends frames; answers what the filter took of them, in order. Fails unless all of them arrived as `received` says. */
  async take(frames: readonly Uint8Array[]): Promise<Uint8Array[]> {
    this.#sender.send(...frames)
    let arrived = 0
    const taken: Uint8Array[] = []
    const deadline = performance.now() + 10_000
    for (;;) {
      const before = arrived
      for (let bytes = this.#receive(this.#all); bytes !== undefined; bytes = this.#receive(this.#all)) {
        const sent = frames[arrived++]
        assert.ok(sent !== undefined, `more arrived than was sent: ${Buffer.from(bytes).toString('hex')}`)
        assert.deepEqual(bytes, this.received(sent).bytes)
      }
      for (let bytes = this.#receive(this.#filtered); bytes !== undefined; bytes = this.#receive(this.#filtered)) taken.push(bytes)
      // A packet that arrived at the one has passed the other before: one look more than was needed.
      if (before === frames.length) return taken
      assert.ok(performance.now() < deadline, `${arrived} of ${frames.length} frames arrived`)
      if (arrived < frames.length) await sleep(1)
    }
  }

  #receive(socket: Descriptor): Uint8Array | undefined {
    const length = kernel.recv(socket.fd, this.#into, MSG_DONTWAIT)
    return length === -EAGAIN ? undefined : this.#into.slice(0, length)
  }

  [Symbol.dispose](): void {
    this.#filtered.close()
    this.#all.close()
    this.#sender.close()
    this.#testbed.close()
  }
}
