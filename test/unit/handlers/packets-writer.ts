/** A thread that gives numbered packets to the handler of `packets()` as fast as it can. */
import { parentPort, workerData } from 'node:worker_threads'
import handler, { type PacketsHandlerData } from '#src/handlers/packets.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { KernelRing } from '../../support/ring-memory.js'

const { data, count } = workerData as { data: PacketsHandlerData; count: number }
let dropped = 0
const state = handler.open({
  workerIndex: 0,
  workerCount: 1,
  interfaceName: 'eth0',
  interfaceIndex: 2,
  data,
  countDrops: (packets) => {
    dropped += packets
  },
})
const kernel = new KernelRing({ blockBytes: 4096, blockCount: 2 })
const ring = new Tpacket3Ring(kernel.memory, kernel.geometry)
const view = new BlockPacketView()
for (let number = 0; number < count; number++) {
  const length = 60 + (number % 200)
  const bytes = Uint8Array.from({ length }, (_, i) => (number + i) & 0xff)
  new DataView(bytes.buffer).setUint32(0, number)
  kernel.receive({ bytes })
  kernel.retire()
  const block = ring.peek() as Block
  view.enter(block)
  view.header = block.firstOffset
  handler.packet(view, state)
  ring.release()
}
handler.close(state)
parentPort?.postMessage(dropped)
