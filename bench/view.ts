/**
 * What a packet view should be, measured: nanoseconds a packet to walk fabricated ring memory and hand each packet to a handler,
 * for several designs of the view and of the call. The one that the product has is marked. Without root.
 *
 *   npm run bench:view
 */
import { execFileSync } from 'node:child_process'
import type { PacketView } from '#src/handler.js'
import { TPACKET3_HDR } from '#src/kernel/abi/if_packet.js'
import { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { KernelRing } from '../test/support/ring-memory.js'

const geometry = { blockBytes: 2 ** 20, blockCount: 32 }
const ROUNDS = 10
const TURNS = 10
const SNAPLEN = TPACKET3_HDR.tp_snaplen / 4
const LEN = TPACKET3_HDR.tp_len / 4

type View = Pick<PacketView, 'bytes' | 'offset' | 'capturedLength' | 'wireLength' | 'seconds' | 'nanoseconds'>
type Packet = (view: View, state: Float64Array) => void
type Walk = (blocks: Block[], packet: Packet, state: Float64Array) => void

const handlers: Record<string, Packet> = {
  'counts packets and bytes': (p, s) => {
    s[0] = (s[0] as number) + 1
    s[1] = (s[1] as number) + p.wireLength
  },
  'reads source, port, time': (p, s) => {
    if (p.capturedLength < 34) return
    const b = p.bytes
    const at = p.offset
    const source = (((b[at + 26] as number) << 24) | ((b[at + 27] as number) << 16) | ((b[at + 28] as number) << 8) | (b[at + 29] as number)) >>> 0
    s[source & 4095] = p.seconds + p.nanoseconds + (((b[at + 36] as number) << 8) | (b[at + 37] as number)) + p.wireLength
  },
}

/** Every field written for every packet, needed or not. */
class FilledView implements View {
  bytes: Uint8Array = new Uint8Array(0)
  offset = 0
  capturedLength = 0
  wireLength = 0
  seconds = 0
  nanoseconds = 0
  status = 0
  vlanTci = 0
  rxhash = 0
}

/** One DataView over the block; its constants stay properties of the imported table. */
class DataViewView implements View {
  bytes: Uint8Array = new Uint8Array(0)
  data: DataView = new DataView(new ArrayBuffer(0))
  header = 0
  get offset(): number {
    return this.header + this.data.getUint16(this.header + TPACKET3_HDR.tp_mac, true)
  }
  get capturedLength(): number {
    return this.data.getUint32(this.header + TPACKET3_HDR.tp_snaplen, true)
  }
  get wireLength(): number {
    return this.data.getUint32(this.header + TPACKET3_HDR.tp_len, true)
  }
  get seconds(): number {
    return this.data.getUint32(this.header + TPACKET3_HDR.tp_sec, true)
  }
  get nanoseconds(): number {
    return this.data.getUint32(this.header + TPACKET3_HDR.tp_nsec, true)
  }
}

function getters(call: 'direct' | 'method' | 'Function.call'): Walk {
  const view = new BlockPacketView()
  return (blocks, packet, state) => {
    const handler = { packet }
    for (const block of blocks) {
      view.enter(block)
      const words = block.words32
      let header = block.firstOffset
      for (let i = 0; i < block.packetCount; i++) {
        view.header = header
        if (call === 'direct') packet(view, state)
        else if (call === 'method') handler.packet(view, state)
        else packet.call(handler, view, state)
        header += words[header >>> 2] as number
      }
    }
  }
}

const walks: Record<string, () => Walk> = {
  'getters on typed arrays of the block *': () => getters('direct'),
  'the same, called as a method': () => getters('method'),
  'the same, by Function.call': () => getters('Function.call'),
  'fields filled a packet': () => {
    const view = new FilledView()
    return (blocks, packet, state) => {
      for (const block of blocks) {
        view.bytes = block.bytes
        const words = block.words32
        let header = block.firstOffset
        for (let i = 0; i < block.packetCount; i++) {
          const at = header >>> 2
          view.seconds = words[at + 1] as number
          view.nanoseconds = words[at + 2] as number
          view.capturedLength = words[at + SNAPLEN] as number
          view.wireLength = words[at + LEN] as number
          view.status = words[at + 5] as number
          view.offset = header + (block.words16[(header >>> 1) + 12] as number)
          view.rxhash = words[at + 7] as number
          view.vlanTci = words[at + 8] as number
          packet(view, state)
          header += words[at] as number
        }
      }
    }
  },
  'getters on one DataView': () => {
    const view = new DataViewView()
    return (blocks, packet, state) => {
      for (const block of blocks) {
        view.bytes = block.bytes
        view.data = new DataView(block.bytes.buffer, block.bytes.byteOffset, block.bytes.byteLength)
        let header = block.firstOffset
        for (let i = 0; i < block.packetCount; i++) {
          view.header = header
          packet(view, state)
          header += view.data.getUint32(header, true)
        }
      }
    }
  },
}

function fill(): Block[] {
  const ring = new KernelRing(geometry)
  const bytes = new Uint8Array(60)
  bytes.set([0x08, 0x00, 0x45], 12)
  for (let i = 0; ring.receive({ bytes, seconds: 1, nanoseconds: i }); i++) bytes.set([10, i >>> 16, i >>> 8, i], 26)
  return Array.from({ length: geometry.blockCount }, (_, i) => {
    const block = new Block(ring.memory, i * geometry.blockBytes, geometry.blockBytes)
    block.readHeader()
    return block
  })
}

function measure(walk: Walk, packet: Packet): number {
  const blocks = fill()
  const state = new Float64Array(4096)
  const packets = blocks.reduce((sum, block) => sum + block.packetCount, 0) * TURNS
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    for (let turn = 0; turn < TURNS; turn++) walk(blocks, packet, state)
    best = Math.min(best, Number(process.hrtime.bigint() - start) / packets)
  }
  return best
}

const [design, handler] = process.argv.slice(2)
if (design === undefined || handler === undefined) {
  console.log(`Node.js ${process.version}; best of ${ROUNDS} rounds, nanoseconds a packet; * is what the product has\n`)
  console.log(''.padEnd(42), Object.keys(handlers).join('   '))
  for (const name of Object.keys(walks)) {
    // A process each: a call site must see one design and one handler, as in a worker.
    const figures = Object.keys(handlers).map((one) => execFileSync(process.execPath, [process.argv[1] as string, name, one], { encoding: 'utf8' }))
    console.log(name.padEnd(42), figures.map((figure, i) => figure.trim().padStart((Object.keys(handlers)[i] as string).length)).join('   '))
  }
} else {
  console.log(measure((walks[design] as () => Walk)(), handlers[handler] as Packet).toFixed(1))
}
