import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, SOCKADDR_LL_AFTER_HDR, TPACKET3_HDR } from '#src/kernel/abi/if_packet.js'
import { XDP_DESC } from '#src/kernel/abi/if_xdp.js'
import { AF_PACKET, ARPHRD_ETHER } from '#src/kernel/abi/socket.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import {
  chunkCountFor,
  chunkRoom,
  fillWithChunks,
  type UmemGeometry,
  UmemReceiver,
  type UmemReceiverOptions,
  umemBytes,
  umemMemoryBytes,
} from '#src/ring/umem.js'
import { XskConsumer, XskProducer } from '#src/ring/xsk-ring.js'
import { seededRandom } from '../../support/random.js'
import { type Hints, hintsOf } from '../../support/xsk-hints.js'
import { ADDRESS_BYTES, KernelXsk } from '../../support/xsk-memory.js'

const MAC = Uint8Array.of(0x02, 0x11, 0x22, 0x33, 0x44, 0x55)
const OTHER_MAC = Uint8Array.of(0x02, 0x00, 0x5e, 0x10, 0x00, 0x01)
const SENDER_MAC = Uint8Array.of(0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee)
const INTERFACE_INDEX = 77
const GEOMETRY: UmemGeometry = { chunkBytes: 2048, chunkCount: 16, multiBuffer: true }
/** Descriptors a block at the most, and packets of several that one can hold. */
const MAX_BATCH = 2048
const ASSEMBLY_SLOTS = 16

/** A reader as src/source/xdp.ts makes it, of a kernel that has its chunks. */
class Reader {
  readonly kernel: KernelXsk
  readonly receiver: UmemReceiver
  readonly fill: XskProducer
  readonly rx: XskConsumer
  readonly options: UmemReceiverOptions

  constructor(kernel: KernelXsk, options: Partial<UmemReceiverOptions> = {}) {
    this.kernel = kernel
    this.options = {
      geometry: kernel.geometry,
      snapLengthBytes: 262_144,
      lengthsOnly: false,
      hints: false,
      interfaceIndex: INTERFACE_INDEX,
      macAddress: MAC,
      ...options,
    }
    this.rx = new XskConsumer(kernel.rx.memory, kernel.rx.layout, XDP_DESC.sizeof)
    this.fill = new XskProducer(kernel.fill.memory, kernel.fill.layout, ADDRESS_BYTES)
    this.receiver = new UmemReceiver(kernel.umem, this.rx, this.fill, this.options)
  }

  static open(geometry: UmemGeometry = GEOMETRY, options: Partial<UmemReceiverOptions> = {}, firstIndex = 0): Reader {
    const reader = new Reader(new KernelXsk({ geometry, firstIndex }), options)
    fillWithChunks(reader.fill, geometry)
    return reader
  }

  /** Packets of each block, up to so many blocks. */
  drain(blocks = Number.POSITIVE_INFINITY): Seen[][] {
    const seen: Seen[][] = []
    while (seen.length < blocks) {
      const block = this.receiver.peek()
      if (block === undefined) break
      seen.push(packetsOf(block))
      this.receiver.release()
      this.kernel.sync()
    }
    return seen
  }
}

interface Seen {
  /** With its tag put back. */
  frame: Uint8Array
  capturedLength: number
  wireLength: number
  hasVlan: boolean
  vlanTci: number
  vlanTpid: number
  protocol: number
  packetType: number
}

/** Of each packet, whether it is cut and how long it was: by its header, or by the sums of a block without headers. */
function lengthsOf(block: Block): [truncated: boolean, wire: number][] {
  const { totals } = block
  const lengths: [boolean, number][] = []
  if (totals !== undefined) {
    let [truncated, bytes] = [0, 0]
    for (let i = 1; i <= block.packetCount; i++) {
      totals.measure(i)
      lengths.push([totals.truncated > truncated, totals.bytes - bytes])
      truncated = totals.truncated
      bytes = totals.bytes
    }
    return lengths
  }
  let header = block.firstOffset / 4
  for (let i = 0; i < block.packetCount; i++) {
    const wire = block.words32[header + TPACKET3_HDR.tp_len / 4]
    lengths.push([block.words32[header + TPACKET3_HDR.tp_snaplen / 4] < wire, wire])
    header += block.words32[header] / 4
  }
  return lengths
}

/** By the walk that the loop and block handlers make. */
function packetsOf(block: Block): Seen[] {
  const view = new BlockPacketView()
  view.enter(block)
  const seen: Seen[] = []
  let header = block.firstOffset
  for (let i = 0; i < block.packetCount; i++) {
    view.header = header
    const { capturedLength, wireLength, hasVlan, vlanTci, vlanTpid, protocol, packetType } = view
    assert.equal(view.interfaceIndex, INTERFACE_INDEX)
    assert.equal(view.rxhash, 0)
    assert.equal(view.outgoing, false)
    assert.ok(view.offset + capturedLength <= block.bytes.length)
    seen.push({ frame: view.copy(), capturedLength, wireLength, hasVlan, vlanTci, vlanTpid, protocol, packetType })
    const distance = block.words32[header / 4]
    assert.equal(distance === 0, i + 1 === block.packetCount, 'only the last one points nowhere')
    header += distance
  }
  return seen
}

interface Tag {
  tpid: number
  tci: number
}

function ethernet(number: number, length: number, options: { tags?: Tag[]; protocol?: number; to?: Uint8Array } = {}): Uint8Array {
  const { tags = [], protocol = 0x0800, to = OTHER_MAC } = options
  const frame = new Uint8Array(length)
  for (let i = 0, state = number; i < length; i++) {
    state = (Math.imul(state, 0x41c64e6d) + 12345) | 0
    frame[i] = state >>> 16
  }
  const view = new DataView(frame.buffer)
  frame.set(to)
  frame.set(SENDER_MAC, 6)
  let at = 12
  for (const { tpid, tci } of tags) {
    view.setUint16(at, tpid)
    view.setUint16(at + 2, tci)
    at += 4
  }
  view.setUint16(at, protocol)
  return frame
}

/** What a packet socket shows of a frame: eth_type_trans() and skb_vlan_untag() of Linux 6.18. */
function asPacketSocketSees(frame: Uint8Array): Seen {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  let at = 12
  const tag = { hasVlan: false, vlanTci: 0, vlanTpid: 0 }
  const first = view.getUint16(12)
  if ((first === 0x8100 || first === 0x88a8) && frame.length >= 18) {
    Object.assign(tag, { hasVlan: true, vlanTci: view.getUint16(14), vlanTpid: first })
    at += 4
  }
  let protocol = view.getUint16(at)
  if (protocol < 0x600) {
    const isRaw = frame.length >= at + 4 && view.getUint16(at + 2) === 0xffff
    protocol = isRaw ? 0x0001 : 0x0004
  }
  const length = frame.length - (tag.hasVlan ? 4 : 0)
  const is = (mac: Uint8Array) => mac.every((byte, i) => frame[i] === byte)
  const packetType = is(new Uint8Array(6).fill(0xff)) ? PACKET_BROADCAST : frame[0] & 1 ? PACKET_MULTICAST : is(MAC) ? PACKET_HOST : PACKET_OTHERHOST
  return { frame, capturedLength: length, wireLength: length, ...tag, protocol, packetType }
}

function assertSeen(seen: readonly Seen[], frames: readonly Uint8Array[], message?: string): void {
  assert.deepEqual(seen, frames.map(asPacketSocketSees), message)
}

describe('geometry', () => {
  test('memory is the chunks, and room behind them only where packets may take several', () => {
    assert.equal(umemBytes(GEOMETRY), 32768)
    assert.equal(umemMemoryBytes({ ...GEOMETRY, multiBuffer: false }), 32768)
    assert.equal(umemMemoryBytes(GEOMETRY), 32768 + 16 * 66 * 1024)
    assert.equal(chunkRoom(2048), 1790)
    assert.equal(chunkRoom(4096), 3838)
  })

  test('chunkCountFor: the next power of two', () => {
    assert.equal(chunkCountFor(1, 2048), 1)
    assert.equal(chunkCountFor(2048, 2048), 1)
    assert.equal(chunkCountFor(2049, 2048), 2)
    assert.equal(chunkCountFor(64 * 2 ** 20, 2048), 32768)
    assert.equal(chunkCountFor(64 * 2 ** 20 + 1, 4096), 32768)
  })

  test('every chunk is posted once, whatever was in the ring’s memory before', () => {
    for (const firstIndex of [0, 2 ** 32 - 5]) {
      const kernel = new KernelXsk({ geometry: GEOMETRY, firstIndex })
      new Uint8Array(kernel.fill.memory, kernel.fill.layout.desc).fill(0xee)
      fillWithChunks(new XskProducer(kernel.fill.memory, kernel.fill.layout, ADDRESS_BYTES), GEOMETRY)
      assert.equal(kernel.chunks, GEOMETRY.chunkCount)
      assert.equal(kernel.fill.used, GEOMETRY.chunkCount)
    }
  })
})

describe('the shape of a block', () => {
  test('headers and frames stand as in a TPACKET_V3 block', () => {
    const { kernel, receiver } = Reader.open()
    receiver.seconds = 1_700_000_001
    receiver.nanoseconds = 999_999_999
    for (let i = 0; i < 3; i++) kernel.receive(ethernet(i, 60 + i))
    kernel.flush()
    const block = receiver.peek() as Block
    assert.equal(block.packetCount, 3)
    let header = block.firstOffset
    for (let i = 0; i < 3; i++) {
      const { words32, words16, bytes } = block
      assert.equal(header % 16, 0)
      assert.equal(words16[(header + TPACKET3_HDR.tp_mac) / 2], 82)
      assert.equal(words16[(header + TPACKET3_HDR.tp_net) / 2], 96)
      assert.equal(words32[(header + TPACKET3_HDR.tp_sec) / 4], 1_700_000_001)
      assert.equal(words32[(header + TPACKET3_HDR.tp_nsec) / 4], 999_999_999)
      assert.equal(words32[(header + TPACKET3_HDR.tp_status) / 4], 0)
      assert.equal(words16[(header + SOCKADDR_LL_AFTER_HDR.sll_family) / 2], AF_PACKET)
      assert.equal(words16[(header + SOCKADDR_LL_AFTER_HDR.sll_hatype) / 2], ARPHRD_ETHER)
      assert.deepEqual(bytes.slice(header + 82, header + 82 + 60 + i), ethernet(i, 60 + i))
      header += words32[header / 4]
    }
  })

  test('nothing, then the packets that are there, the same block until it is released', () => {
    const reader = Reader.open()
    const { kernel, receiver } = reader
    assert.equal(receiver.ready(), false)
    assert.equal(receiver.peek(), undefined)
    const frames = Array.from({ length: 5 }, (_, i) => ethernet(i, 60 + i))
    for (const frame of frames) kernel.receive(frame)
    assert.equal(receiver.ready(), false, 'not yet shown')
    kernel.flush()
    assert.equal(receiver.ready(), true)
    const block = receiver.peek() as Block
    kernel.receive(ethernet(9, 99))
    kernel.flush()
    assert.equal(receiver.peek(), block)
    assertSeen(packetsOf(block), frames)
    assert.equal(kernel.rx.used, 6)
    assert.equal(kernel.chunks, 10, 'nothing given back while the block is out')
    receiver.release()
    assert.equal(kernel.chunks, 15)
    assertSeen(reader.drain().flat(), [ethernet(9, 99)])
    assert.equal(receiver.ready(), false)
    assert.equal(kernel.chunks, 16)
    assert.equal(kernel.rx.used, 0)
  })

  test('each batch has the clock of its time', () => {
    const { kernel, receiver } = Reader.open()
    for (const seconds of [1, 4_000_000_000]) {
      receiver.seconds = seconds
      receiver.nanoseconds = 5
      kernel.receive(ethernet(1, 60))
      kernel.flush()
      const view = new BlockPacketView()
      const block = receiver.peek() as Block
      view.enter(block)
      view.header = block.firstOffset
      assert.deepEqual([view.seconds, view.nanoseconds], [seconds, 5])
      receiver.release()
    }
  })

  test('at most 2048 packets a block', () => {
    const reader = Reader.open({ chunkBytes: 2048, chunkCount: 8192, multiBuffer: false })
    const frames = Array.from({ length: 5000 }, (_, i) => ethernet(i, 60))
    for (const frame of frames) reader.kernel.receive(frame)
    reader.kernel.flush()
    const blocks = reader.drain()
    assert.deepEqual(
      blocks.map((block) => block.length),
      [MAX_BATCH, MAX_BATCH, 5000 - 2 * MAX_BATCH],
    )
    assertSeen(blocks.flat(), frames)
  })
})

describe('full and empty', () => {
  for (const firstIndex of [0, 2 ** 31 - 3, 2 ** 32 - 5]) {
    test(`round and round, indices from ${firstIndex}`, () => {
      const reader = Reader.open(GEOMETRY, {}, firstIndex)
      const seen: Seen[] = []
      const frames: Uint8Array[] = []
      for (let round = 0; round < 30; round++) {
        for (let i = 0; i < 1 + (round % GEOMETRY.chunkCount); i++) {
          const frame = ethernet(frames.length, 60 + round)
          assert.ok(reader.kernel.receive(frame))
          frames.push(frame)
        }
        reader.kernel.flush()
        seen.push(...reader.drain().flat())
      }
      assertSeen(seen, frames)
      assert.equal(reader.kernel.chunks, GEOMETRY.chunkCount)
    })
  }

  test('without a chunk left the kernel drops, and goes on when chunks are back', () => {
    const reader = Reader.open()
    const { kernel } = reader
    const frames = Array.from({ length: GEOMETRY.chunkCount }, (_, i) => ethernet(i, 100))
    for (const frame of frames) assert.ok(kernel.receive(frame))
    assert.equal(kernel.receive(ethernet(99, 100)), false)
    kernel.flush()
    assertSeen(reader.drain().flat(), frames)
    assert.ok(kernel.receive(ethernet(100, 100)))
    kernel.flush()
    assertSeen(reader.drain().flat(), [ethernet(100, 100)])
    assert.deepEqual([kernel.rxDropped + kernel.rxRingFull, kernel.chunks], [1, GEOMETRY.chunkCount])
  })

  test('packets are shown before FILL has room for their chunks: those without wait', () => {
    const reader = Reader.open()
    const { kernel, receiver } = reader
    for (let i = 0; i < 3; i++) kernel.receive(ethernet(i, 60))
    kernel.show()
    assert.equal(receiver.ready(), true)
    assert.equal(receiver.peek(), undefined)
    kernel.flush()
    for (let i = 3; i < 5; i++) kernel.receive(ethernet(i, 60))
    kernel.show()
    assertSeen(
      reader.drain().flat(),
      [0, 1, 2].map((i) => ethernet(i, 60)),
    )
    kernel.flush()
    assertSeen(
      reader.drain().flat(),
      [3, 4].map((i) => ethernet(i, 60)),
    )
    assert.equal(kernel.chunks, GEOMETRY.chunkCount)
  })

  test('a chunk is posted after its entry in RX has been given back, whenever the kernel looks', () => {
    const kernel = new KernelXsk({ geometry: GEOMETRY })
    const looks: number[] = []
    class Watched extends XskProducer {
      override submit(count: number): void {
        looks.push(kernel.rx.used)
        super.submit(count)
        kernel.sync()
      }
    }
    const reader = new Reader(kernel)
    const fill = new Watched(kernel.fill.memory, kernel.fill.layout, ADDRESS_BYTES)
    fillWithChunks(fill, GEOMETRY)
    const receiver = new UmemReceiver(kernel.umem, reader.rx, fill, reader.options)
    for (let i = 0; i < 3; i++) kernel.receive(ethernet(i, 60))
    kernel.flush()
    assert.equal(receiver.peek()?.packetCount, 3)
    receiver.release()
    assert.deepEqual(looks, [0, 0])
    assert.equal(kernel.chunks, GEOMETRY.chunkCount)
  })

  test('needsWakeup is that of the FILL ring', () => {
    const { kernel, receiver } = Reader.open()
    assert.equal(receiver.needsWakeup(), false)
    kernel.rx.needWakeup = true
    assert.equal(receiver.needsWakeup(), false)
    kernel.fill.needWakeup = true
    assert.equal(receiver.needsWakeup(), true)
  })
})

describe('packets of several descriptors', () => {
  test('whole, in their order among others, every chunk back', () => {
    const geometry = { ...GEOMETRY, chunkCount: 64 }
    const reader = Reader.open(geometry)
    const lengths = [60, 1790, 1791, 60, 3580, 9014, 9018, 1500, 9014]
    const frames = lengths.map((length, i) => ethernet(i, length))
    for (const frame of frames) assert.ok(reader.kernel.receive(frame))
    reader.kernel.flush()
    const blocks = reader.drain()
    // Packets that were put together stand behind all chunks: one that was not begins the next block.
    assert.deepEqual(
      blocks.map((block) => block.map((packet) => packet.wireLength)),
      [
        [60, 1790, 1791],
        [60, 3580, 9014, 9018],
        [1500, 9014],
      ],
    )
    assertSeen(blocks.flat(), frames)
    assert.equal(reader.kernel.chunks, geometry.chunkCount)
  })

  test('whatever the pieces, odd ones too', () => {
    const reader = Reader.open()
    const frame = ethernet(1, 200)
    for (const pieces of [[199, 1], [1, 199], [14, 3, 183], Array.from({ length: 16 }, (_, i) => (i === 15 ? 50 : 10))]) {
      assert.ok(reader.kernel.receive(frame, pieces))
      reader.kernel.flush()
      assertSeen(reader.drain().flat(), [frame])
    }
    assert.equal(reader.kernel.chunks, GEOMETRY.chunkCount)
  })

  test('a batch that ends in mid-packet delivers what came before, and that packet when it is whole', () => {
    for (const lengthsOnly of [false, true]) {
      const reader = Reader.open(GEOMETRY, { lengthsOnly })
      const { kernel, receiver } = reader
      const lengths = () => {
        const block = receiver.peek()
        if (block === undefined) return undefined
        const found = lengthsOf(block).map(([, wire]) => wire)
        receiver.release()
        return found
      }
      kernel.receive(ethernet(1, 60))
      kernel.receive(ethernet(2, 5000))
      kernel.flush(2)
      assert.equal(receiver.left(), 1)
      assert.deepEqual(lengths(), [60])
      assert.equal(receiver.left(), 0)
      assert.equal(lengths(), undefined)
      kernel.flush(1)
      assert.equal(lengths(), undefined)
      assert.equal(kernel.chunks, 13)
      kernel.receive(ethernet(3, 61))
      kernel.flush()
      assert.equal(receiver.left(), 2)
      const seen: number[] = []
      for (let block = lengths(); block !== undefined; block = lengths()) seen.push(...block)
      assert.deepEqual(seen, [5000, 61])
      assert.equal(kernel.chunks, GEOMETRY.chunkCount)
    }
  })

  test('more of them than a block has room for', () => {
    const geometry = { ...GEOMETRY, chunkCount: 128 }
    const reader = Reader.open(geometry)
    const frames = Array.from({ length: 40 }, (_, i) => ethernet(i, 2000 + i))
    for (const frame of frames) assert.ok(reader.kernel.receive(frame))
    reader.kernel.flush()
    const blocks = reader.drain()
    assert.deepEqual(
      blocks.map((block) => block.length),
      [ASSEMBLY_SLOTS, ASSEMBLY_SLOTS, 40 - 2 * ASSEMBLY_SLOTS],
    )
    assertSeen(blocks.flat(), frames)
    assert.equal(reader.kernel.chunks, geometry.chunkCount)
  })

  test('the longest packet that IP knows is whole; a longer one is cut, and its neighbours are not touched', () => {
    const geometry = { chunkBytes: 4096, chunkCount: 1024, multiBuffer: true }
    const reader = Reader.open(geometry)
    const longest = 65535 + 14 + 4
    const tags = [{ tpid: 0x8100, tci: 5 }]
    const lengths = [longest, longest, 300_000, 66 * 1024, ...Array.from({ length: 11 }, () => 68_000), 300_000]
    const frames = lengths.map((length, i) => ethernet(i, length, { tags: i % 2 === 1 ? tags : [] }))
    assert.equal(frames.length, ASSEMBLY_SLOTS)
    for (const frame of frames) assert.ok(reader.kernel.receive(frame))
    reader.kernel.flush()
    const [seen, ...rest] = reader.drain()
    assert.equal(rest.length, 0)
    const expected = frames.map(asPacketSocketSees)
    assertSeen(seen.slice(0, 2), frames.slice(0, 2))
    seen.slice(2).forEach((packet, i) => {
      const whole = expected[i + 2]
      assert.equal(packet.wireLength, whole.wireLength)
      assert.ok(packet.capturedLength < whole.wireLength && packet.capturedLength >= longest, `${packet.capturedLength}`)
      assert.deepEqual(packet.frame, whole.frame.subarray(0, packet.frame.length))
    })
    assert.equal(reader.kernel.chunks, geometry.chunkCount)
  })
})

describe('addresses that go back', () => {
  test('end a block; nothing is lost, and the order is that of the RX ring', () => {
    const reader = Reader.open()
    const frames = Array.from({ length: 10 }, (_, i) => ethernet(i, 60))
    // Chunks 0 to 2 lie on the kernel's free list, the last one on top: packets come in chunks 2, 1, 0, 3, 4 ...
    reader.kernel.park(3)
    for (const frame of frames) reader.kernel.receive(frame)
    reader.kernel.flush()
    const blocks = reader.drain()
    assert.deepEqual(
      blocks.map((block) => block.length),
      [1, 1, 8],
    )
    assertSeen(blocks.flat(), frames)
    assert.equal(reader.kernel.chunks, GEOMETRY.chunkCount)
  })

  test('around the end of the chunks', () => {
    const reader = Reader.open({ ...GEOMETRY, chunkCount: 4 })
    const seen: number[] = []
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) reader.kernel.receive(ethernet(3 * i + j, 60))
      reader.kernel.flush()
      const blocks = reader.drain()
      seen.push(...blocks.map((block) => block.length))
      assertSeen(
        blocks.flat(),
        [0, 1, 2].map((j) => ethernet(3 * i + j, 60)),
      )
    }
    assert.deepEqual(seen, [3, 1, 2, 2, 1])
  })
})

describe('as a packet socket sees them', () => {
  const Q = 0x8100
  const AD = 0x88a8
  const tagged: [string, Tag[]][] = [
    ['no tag', []],
    ['802.1Q', [{ tpid: Q, tci: 100 }]],
    ['802.1ad', [{ tpid: AD, tci: 4094 }]],
    ['priority 7, drop eligible', [{ tpid: Q, tci: 0xf064 }]],
    ['a priority tag', [{ tpid: Q, tci: 0xa000 }]],
    ['a tag of zeros', [{ tpid: Q, tci: 0 }]],
    [
      'QinQ: the outer one only',
      [
        { tpid: AD, tci: 7 },
        { tpid: Q, tci: 0x2009 },
      ],
    ],
    [
      'two of 802.1Q',
      [
        { tpid: Q, tci: 7 },
        { tpid: Q, tci: 8 },
      ],
    ],
    ['a tag of another kind stays', [{ tpid: 0x9100, tci: 7 }]],
  ]
  for (const [name, tags] of tagged) {
    test(name, () => {
      const geometry = { ...GEOMETRY, chunkCount: 64 }
      const reader = Reader.open(geometry)
      // Each chunk three times: what one packet leaves in a header is nothing to the next.
      for (let round = 0; round < 3; round++) {
        const frames = [60, 61, 1514, 1790, 1791, 9018].flatMap((length, i) => [
          ethernet(i, length, { tags }),
          ethernet(i, length),
          ethernet(i, length, { tags, to: MAC }),
        ])
        for (const frame of frames) assert.ok(reader.kernel.receive(frame))
        reader.kernel.flush()
        const seen = reader.drain().flat()
        assertSeen(seen, frames)
        assert.equal(seen[0].hasVlan, tags.length > 0 && tags[0].tpid !== 0x9100)
      }
    })
  }

  test('tags at the end of a frame', () => {
    const reader = Reader.open()
    for (const length of [14, 15, 17, 18, 19, 20, 21]) {
      const frames = [ethernet(length, length, { tags: length < 18 ? [] : [{ tpid: Q, tci: 3 }], protocol: Q })]
      for (const frame of frames) reader.kernel.receive(frame)
      reader.kernel.flush()
      assertSeen(reader.drain().flat(), frames, `${length}`)
    }
  })

  test('a length where an EtherType would be: IEEE 802.3, told as the kernel tells it', () => {
    const reader = Reader.open()
    const spanningTree = ethernet(1, 60, { protocol: 38 })
    const tagged = ethernet(2, 64, { protocol: 0x5ff, tags: [{ tpid: Q, tci: 1 }] })
    const ipx = ethernet(3, 60, { protocol: 40 })
    ipx.set([0xff, 0xff], 14)
    const taggedIpx = ethernet(4, 60, { protocol: 40, tags: [{ tpid: Q, tci: 1 }] })
    taggedIpx.set([0xff, 0xff], 18)
    const first = ethernet(5, 60, { protocol: 0x600 })
    const bare = ethernet(6, 14, { protocol: 0 })
    const frames = [spanningTree, tagged, ipx, taggedIpx, first, bare]
    for (const frame of frames) reader.kernel.receive(frame)
    reader.kernel.flush()
    const seen = reader.drain().flat()
    assertSeen(seen, frames)
    assert.deepEqual(
      seen.map((packet) => packet.protocol),
      [4, 4, 1, 1, 0x600, 4],
    )
  })

  test('packet types', () => {
    const reader = Reader.open()
    const nearMac = MAC.slice()
    nearMac[5] ^= 1
    const nearBroadcast = new Uint8Array(6).fill(0xff)
    nearBroadcast[3] = 0xfe
    const cases: [Uint8Array, number][] = [
      [MAC, PACKET_HOST],
      [nearMac, PACKET_OTHERHOST],
      [OTHER_MAC, PACKET_OTHERHOST],
      [new Uint8Array(6).fill(0xff), PACKET_BROADCAST],
      [nearBroadcast, PACKET_MULTICAST],
      [Uint8Array.of(0x01, 0x00, 0x5e, 0, 0, 1), PACKET_MULTICAST],
      [Uint8Array.of(0x33, 0x33, 0, 0, 0, 1), PACKET_MULTICAST],
      [new Uint8Array(6), PACKET_OTHERHOST],
    ]
    for (const tags of [[], [{ tpid: Q, tci: 1 }]]) {
      for (const [to] of cases) reader.kernel.receive(ethernet(1, 64, { to, tags }))
      reader.kernel.flush()
      assert.deepEqual(
        reader
          .drain()
          .flat()
          .map((packet) => packet.packetType),
        cases.map(([, type]) => type),
      )
    }
  })
})

describe('snap length', () => {
  test('cuts what is captured, not what is told of the wire; a tag is not part of it', () => {
    const reader = Reader.open({ ...GEOMETRY, chunkCount: 64 }, { snapLengthBytes: 96 })
    const tags = [{ tpid: 0x8100, tci: 3 }]
    const frames = [
      ethernet(1, 95),
      ethernet(2, 96),
      ethernet(3, 97),
      ethernet(4, 100, { tags }),
      ethernet(5, 101, { tags }),
      ethernet(6, 9000),
      ethernet(7, 9000, { tags }),
    ]
    for (const frame of frames) reader.kernel.receive(frame)
    reader.kernel.flush()
    const seen = reader.drain().flat()
    assert.deepEqual(
      seen.map(({ capturedLength, wireLength }) => [capturedLength, wireLength]),
      [
        [95, 95],
        [96, 96],
        [96, 97],
        [96, 96],
        [96, 97],
        [96, 9000],
        [96, 8996],
      ],
    )
    seen.forEach((packet, i) => {
      assert.deepEqual(packet.frame, frames[i].subarray(0, packet.frame.length))
    })
  })
})

describe('lengths only', () => {
  const OPTIONS = { lengthsOnly: true, snapLengthBytes: 1000 }

  test('counts packets and their bytes on the wire, and leaves the chunks alone', () => {
    const geometry = { ...GEOMETRY, chunkCount: 32 }
    const reader = Reader.open(geometry, OPTIONS)
    const { kernel, receiver } = reader
    kernel.park(3)
    const lengths = [60, 1000, 1001, 5000, 64, 9000]
    for (const length of lengths) assert.ok(kernel.receive(ethernet(length, length, { tags: [{ tpid: 0x8100, tci: 1 }] })))
    kernel.flush()
    const before = new Uint8Array(kernel.umem.slice(0))
    const block = receiver.peek() as Block
    assert.deepEqual(
      lengthsOf(block),
      lengths.map((length) => [length > 1000, length]),
    )
    block.totals?.measure(lengths.length)
    assert.deepEqual([block.totals?.bytes, block.totals?.truncated], [lengths.reduce((a, b) => a + b), 3])
    assert.deepEqual(new Uint8Array(kernel.umem), before)
    receiver.release()
    assert.equal(kernel.chunks, geometry.chunkCount)
    assert.equal(receiver.peek(), undefined)
  })

  test('2048 packets a block, over the end of the indices', () => {
    const geometry = { chunkBytes: 2048, chunkCount: 4096, multiBuffer: false }
    const { kernel, receiver } = Reader.open(geometry, OPTIONS, 2 ** 32 - 100)
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 3000; i++) kernel.receive(ethernet(1, 60 + (i % 7)))
      kernel.flush()
      const seen: number[] = []
      const sizes: number[] = []
      for (let block = receiver.peek(); block !== undefined; block = receiver.peek()) {
        sizes.push(block.packetCount)
        for (const [, wire] of lengthsOf(block)) seen.push(wire)
        receiver.release()
      }
      assert.deepEqual(sizes, [MAX_BATCH, 3000 - MAX_BATCH])
      assert.deepEqual(
        seen,
        Array.from({ length: 3000 }, (_, i) => 60 + (i % 7)),
      )
    }
    assert.equal(kernel.chunks, geometry.chunkCount)
  })
})

describe('another reader takes over', () => {
  const tags = [{ tpid: 0x8100, tci: 9 }]
  const frames = Array.from({ length: 8 }, (_, i) => ethernet(i, 80 + i, { tags: i % 2 === 0 ? tags : [] }))

  for (const firstIndex of [0, 2 ** 32 - 5]) {
    test(`between blocks nothing is lost and nothing comes twice, indices from ${firstIndex}`, () => {
      const reader = Reader.open(GEOMETRY, {}, firstIndex)
      for (const frame of frames.slice(0, 5)) reader.kernel.receive(frame)
      reader.kernel.flush(3)
      const seen = reader.drain().flat()
      reader.kernel.flush()
      const heir = new Reader(reader.kernel)
      for (const frame of frames.slice(5)) reader.kernel.receive(frame)
      reader.kernel.flush()
      seen.push(...heir.drain().flat())
      assertSeen(seen, frames)
      assert.equal(reader.kernel.chunks, GEOMETRY.chunkCount)
    })
  }

  test('a block that was out is passed by, and all after it comes whole', () => {
    const reader = Reader.open()
    const { kernel } = reader
    for (const frame of frames.slice(0, 5)) kernel.receive(frame)
    kernel.flush()
    // It has moved addresses over tags: nobody can read these packets again.
    assert.equal(reader.receiver.peek()?.packetCount, 5)
    // What comes while nobody reads was in no hand.
    for (const frame of frames.slice(5)) kernel.receive(frame)
    kernel.flush()
    const heir = new Reader(kernel)
    assert.equal(heir.receiver.passBy(reader.receiver.taken), 5)
    assert.equal(heir.receiver.taken, 0)
    assertSeen(heir.drain().flat(), frames.slice(5))
    assert.equal(kernel.chunks, GEOMETRY.chunkCount)
  })

  test('a block of packets of several descriptors is passed by, descriptors and packets each counted as such', () => {
    const reader = Reader.open(GEOMETRY, {}, 2 ** 32 - 5)
    const { kernel } = reader
    for (const length of [60, 4000]) kernel.receive(ethernet(1, length))
    kernel.flush()
    assert.equal(reader.receiver.peek()?.packetCount, 2)
    assert.equal(reader.receiver.taken, 4)
    for (const frame of frames) kernel.receive(frame)
    kernel.flush()
    const heir = new Reader(kernel)
    assert.equal(heir.receiver.passBy(4), 2)
    assertSeen(heir.drain().flat(), frames)
    assert.equal(kernel.chunks, GEOMETRY.chunkCount)
  })

  test('one that died between the two halves of a release has lost these chunks, and no more', () => {
    const reader = Reader.open()
    const { kernel } = reader
    for (const frame of frames) kernel.receive(frame)
    kernel.flush()
    reader.receiver.peek()
    reader.rx.release(frames.length)
    const heir = new Reader(kernel)
    assert.equal(heir.receiver.peek(), undefined)
    assert.equal(kernel.chunks, GEOMETRY.chunkCount - frames.length)
    for (let round = 0; round < 5; round++) {
      for (const frame of frames) assert.ok(kernel.receive(frame))
      assert.equal(kernel.receive(ethernet(1, 60)), false)
      kernel.flush()
      assertSeen(heir.drain().flat(), frames)
      assert.equal(kernel.chunks, GEOMETRY.chunkCount - frames.length)
    }
  })
})

describe('hints of the driver', () => {
  const OPTIONS = { hints: true }
  const CLOCK = { seconds: 1_700_000_000, nanoseconds: 5 }
  const TAG = { tpid: 0x88a8, tci: 0xa064 }
  const STAMP = 1_800_000_000_123_456_789n

  /** Packets of a block with whose clock stamped them, and when. */
  function stamped(block: Block) {
    const view = new BlockPacketView()
    view.enter(block)
    let header = block.firstOffset
    return packetsOf(block).map((packet) => {
      view.header = header
      header += block.words32[header / 4]
      const { seconds, nanoseconds, timestampSource } = view
      return { ...packet, seconds, nanoseconds, timestampSource }
    })
  }

  /** What a packet socket shows of a frame that the NIC has taken a tag out of (__netif_receive_skb_core of Linux 6.18). */
  function seenWith(frame: Uint8Array, { timestamp, tag }: Hints) {
    const time =
      timestamp === undefined || timestamp === 0n
        ? { ...CLOCK, timestampSource: 'batch' }
        : { seconds: Number((timestamp / 10n ** 9n) & 0xffff_ffffn), nanoseconds: Number(timestamp % 10n ** 9n), timestampSource: 'hardware' }
    if (tag === undefined) return { ...asPacketSocketSees(frame), ...time }
    const [bytes, wire] = [new DataView(new ArrayBuffer(4)), new Uint8Array(frame.length + 4)]
    bytes.setUint16(0, tag.tpid)
    bytes.setUint16(2, tag.tci)
    wire.set(frame.subarray(0, 12))
    wire.set(new Uint8Array(bytes.buffer), 12)
    wire.set(frame.subarray(12), 16)
    // Whatever TPID the NIC knows, the frame is seen as one with that tag, here by the way of one that the kernel knows.
    const known = wire.slice()
    new DataView(known.buffer).setUint16(12, 0x8100)
    return { ...asPacketSocketSees(known), frame: wire, vlanTpid: tag.tpid, ...time }
  }

  function receiveAll(reader: Reader, packets: readonly (readonly [frame: Uint8Array, hints: Hints | undefined])[]) {
    for (const [frame, hints] of packets) assert.ok(reader.kernel.receive(frame, undefined, hints === undefined ? undefined : hintsOf(hints)))
    reader.kernel.flush()
    const seen: ReturnType<typeof stamped> = []
    for (;;) {
      Object.assign(reader.receiver, CLOCK)
      const block = reader.receiver.peek()
      if (block === undefined) return seen
      seen.push(...stamped(block))
      reader.receiver.release()
      reader.kernel.sync()
    }
  }

  test('the time of the NIC, to the nanosecond, whatever it says; 0 is none', (t) => {
    const random = seededRandom(t)
    const reader = Reader.open({ chunkBytes: 2048, chunkCount: 4096, multiBuffer: false }, OPTIONS)
    const edges = [0n, 1n, 10n ** 9n, STAMP, 2n ** 31n, 2n ** 32n, 2n ** 47n, 2n ** 48n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 32n * 10n ** 9n]
    const seconds = Array.from({ length: 1000 }, () => BigInt(random.word()) * 10n ** 9n)
    const anything = Array.from({ length: 2000 }, () => (BigInt(random.word()) << 32n) | BigInt(random.word()))
    const words = [0n, 1n, 0xffffn, 0xffff_ffffn, 0xffff_0000n, 0x8000_0000n]
    const values = [...edges, ...seconds, ...words.flatMap((high) => words.map((low) => (high << 32n) | low)), ...anything]
    const timestamps = values.flatMap((value) => [value - 1n, value, value + 1n]).map((value) => BigInt.asUintN(64, value))
    const frame = ethernet(1, 60)
    const seen = receiveAllInTurn(reader, timestamps, frame)
    timestamps.forEach((timestamp, i) => {
      const { seconds, nanoseconds, timestampSource } = seenWith(frame, { timestamp })
      assert.deepEqual([seen[i].seconds, seen[i].nanoseconds, seen[i].timestampSource], [seconds, nanoseconds, timestampSource], `${timestamp}`)
    })
    assert.ok(timestamps.length > 9000)
    assert.deepEqual(new Set(seen.map(({ timestampSource }) => timestampSource)), new Set(['hardware', 'batch']))
  })

  function receiveAllInTurn(reader: Reader, timestamps: readonly bigint[], frame: Uint8Array) {
    const seen: ReturnType<typeof stamped> = []
    for (let from = 0; from < timestamps.length; from += 4000) {
      seen.push(
        ...receiveAll(
          reader,
          timestamps.slice(from, from + 4000).map((timestamp) => [frame, { timestamp }] as const),
        ),
      )
    }
    return seen
  }

  test('the tag that the NIC took out, and where the frame has another one, that stays in it', () => {
    const reader = Reader.open({ ...GEOMETRY, chunkCount: 64 }, OPTIONS)
    const inner = [{ tpid: 0x8100, tci: 9 }]
    const frames = [
      ethernet(1, 60),
      ethernet(2, 61, { to: MAC }),
      ethernet(3, 64, { tags: inner }),
      ethernet(4, 68, { tags: [...inner, ...inner] }),
      ethernet(5, 1790, { tags: inner }),
      ethernet(6, 9000),
      ethernet(7, 9018, { tags: inner }),
      ethernet(8, 60, { protocol: 38 }),
      ethernet(9, 64, { protocol: 38, tags: inner }),
      ethernet(10, 14),
      ethernet(11, 18, { tags: inner }),
    ]
    const hints: Hints[] = [
      { tag: TAG },
      { tag: TAG, timestamp: STAMP },
      { tag: { tpid: 0x8100, tci: 0 } },
      { tag: { tpid: 0x9100, tci: 0xffff } },
      { timestamp: STAMP },
      {},
    ]
    for (const hint of hints) {
      const packets = frames.map((frame) => [frame, hint] as const)
      const expected = frames.map((frame) => seenWith(frame, hint))
      // Each chunk more than once: what one packet leaves behind is nothing to the next.
      for (let round = 0; round < 5; round++) assert.deepEqual(receiveAll(reader, packets), expected, JSON.stringify(hint.tag))
    }
  })

  test('as its own packet socket would show it', () => {
    const frame = ethernet(3, 64, { tags: [{ tpid: 0x8100, tci: 9 }] })
    const [seen] = receiveAll(Reader.open(GEOMETRY, OPTIONS), [[frame, { tag: TAG }]])
    const { hasVlan, vlanTci, vlanTpid, protocol, capturedLength, wireLength } = seen
    assert.deepEqual([hasVlan, vlanTci, vlanTpid, protocol, capturedLength, wireLength], [true, 0xa064, 0x88a8, 0x8100, 64, 64])
    assert.equal(
      Buffer.from(seen.frame.subarray(12, 24)).toString('hex'),
      `88a8a064${'81000009'}${'0800'}${Buffer.from(frame.subarray(18, 20)).toString('hex')}`,
    )
  })

  test('a snap length counts without the tag, as ever', () => {
    const reader = Reader.open(GEOMETRY, { ...OPTIONS, snapLengthBytes: 100 })
    const tags = [{ tpid: 0x8100, tci: 9 }]
    const lengths = (frame: Uint8Array) => receiveAll(reader, [[frame, { tag: TAG }]]).map(({ capturedLength, wireLength }) => [capturedLength, wireLength])
    assert.deepEqual(lengths(ethernet(1, 101)), [[100, 101]])
    // The inner tag is a part of the frame again.
    for (const length of [99, 100, 101, 104, 105]) assert.deepEqual(lengths(ethernet(1, length, { tags })), [[Math.min(length, 100), length]])
  })

  test('a packet without is not given those of the one before in its chunk', () => {
    const reader = Reader.open({ ...GEOMETRY, chunkCount: 4 }, OPTIONS)
    const frame = ethernet(1, 60)
    for (let round = 0; round < 6; round++) {
      assert.deepEqual(
        receiveAll(
          reader,
          Array.from({ length: 3 }, () => [frame, { timestamp: STAMP, tag: TAG }] as const),
        ).map(({ timestampSource, hasVlan }) => [timestampSource, hasVlan]),
        Array.from({ length: 3 }, () => ['hardware', true]),
      )
      for (let again = 0; again < 2; again++) {
        assert.deepEqual(
          receiveAll(
            reader,
            Array.from({ length: 4 }, () => [frame, undefined] as const),
          ),
          Array.from({ length: 4 }, () => seenWith(frame, {})),
        )
      }
    }
  })

  test('nor those of a packet that was passed by', () => {
    const reader = Reader.open({ ...GEOMETRY, chunkCount: 4 }, OPTIONS)
    const { kernel } = reader
    for (let i = 0; i < 4; i++) kernel.receive(ethernet(i, 60), undefined, hintsOf({ timestamp: STAMP, tag: TAG }))
    kernel.flush()
    const heir = new Reader(kernel, OPTIONS)
    assert.equal(heir.receiver.passBy(4), 4)
    const frame = ethernet(9, 60)
    assert.deepEqual(
      receiveAll(
        heir,
        Array.from({ length: 4 }, () => [frame, undefined] as const),
      ),
      Array.from({ length: 4 }, () => seenWith(frame, {})),
    )
  })

  test('nor does it matter where only lengths are read', () => {
    const reader = Reader.open(GEOMETRY, { ...OPTIONS, lengthsOnly: true })
    const { kernel } = reader
    for (let i = 0; i < 4; i++) kernel.receive(ethernet(i, 60), undefined, hintsOf({ timestamp: STAMP }))
    kernel.flush()
    const heir = new Reader(kernel, reader.options)
    assert.equal(heir.receiver.passBy(4), 4)
    for (let i = 0; i < 12; i++) kernel.receive(ethernet(i, 60 + i), undefined, hintsOf({ timestamp: STAMP }))
    kernel.flush()
    assert.deepEqual(
      lengthsOf(heir.receiver.peek() as Block).map(([, wire]) => wire),
      Array.from({ length: 12 }, (_, i) => 60 + i),
    )
  })

  test('what only looks like hints is none', () => {
    const reader = Reader.open(GEOMETRY, OPTIONS)
    const frame = ethernet(1, 60)
    const hints = hintsOf({ timestamp: STAMP, tag: TAG })
    for (const [at, bits] of [0, 1, 14, 15].flatMap((at) => [1, 2, 4, 8, 16, 32, 64, 128].map((bits) => [at, bits] as const))) {
      // The two bits that say which of them are there.
      if (at === 14 && bits < 4) continue
      const forged = hints.slice()
      forged[at] ^= bits
      assert.ok(reader.kernel.receive(frame, undefined, forged))
      reader.kernel.flush()
      const block = reader.receiver.peek() as Block
      assert.deepEqual(packetsOf(block), [asPacketSocketSees(frame)], `byte ${at}, ${bits}`)
      assert.equal(stamped(block)[0]?.timestampSource, 'batch')
      reader.receiver.release()
    }
  })

  test('who does not want them leaves them alone', () => {
    for (const options of [{ hints: false }, { hints: true, lengthsOnly: true }]) {
      const reader = Reader.open(GEOMETRY, options)
      const hints = hintsOf({ timestamp: STAMP, tag: TAG })
      reader.kernel.receive(ethernet(1, 60), undefined, hints)
      reader.kernel.flush()
      const block = reader.receiver.peek() as Block
      assert.equal(block.packetCount, 1)
      if (options.lengthsOnly !== true) assert.deepEqual(packetsOf(block), [asPacketSocketSees(ethernet(1, 60))])
      assert.deepEqual(new Uint8Array(reader.kernel.umem, 258 - hints.length, hints.length), hints)
    }
  })

  test('random packets with random hints, among them packets of several descriptors, in blocks that end anywhere', (t) => {
    const random = seededRandom(t)
    for (let run = 0; run < 30; run++) {
      const reader = Reader.open({ chunkBytes: random.pick([2048, 4096]), chunkCount: 256, multiBuffer: true }, OPTIONS)
      const expected: object[] = []
      const seen: object[] = []
      for (let step = 0; step < 20; step++) {
        if (random.oneIn(4)) reader.kernel.park(random.between(1, 8))
        const packets = Array.from({ length: random.between(1, 40) }, () => {
          const tags = random.pick([[], [{ tpid: random.pick([0x8100, 0x88a8]), tci: random.word() & 0xffff }]])
          const frame = ethernet(random.word(), random.between(60, random.oneIn(8) ? 9000 : 200), { tags, to: random.pick([MAC, OTHER_MAC]) })
          const hints: Hints = {
            ...(random.oneIn(2) ? { timestamp: (BigInt(random.word()) << 32n) | BigInt(random.word()) } : {}),
            ...(random.oneIn(2) ? { tag: { tpid: random.pick([0x8100, 0x88a8]), tci: random.word() & 0xffff } } : {}),
          }
          return [frame, random.oneIn(5) ? undefined : hints] as const
        })
        seen.push(...receiveAll(reader, packets))
        expected.push(...packets.map(([frame, hints]) => seenWith(frame, hints ?? {})))
      }
      assert.equal(seen.length, expected.length)
      for (const [i, packet] of seen.entries()) assert.deepEqual(packet, expected[i], `run ${run}, packet ${i}`)
      assert.equal(reader.kernel.chunks, 256)
    }
  })
})

test('left: whole packets that the RX ring holds', () => {
  const reader = Reader.open(GEOMETRY, {}, 2 ** 32 - 5)
  const { kernel, receiver } = reader
  assert.equal(receiver.left(), 0)
  for (const length of [60, 4000, 60]) kernel.receive(ethernet(1, length))
  assert.equal(receiver.left(), 0)
  kernel.flush()
  assert.equal(receiver.left(), 3)
  reader.drain(1)
  assert.equal(receiver.left(), 1)
  reader.drain()
  assert.equal(receiver.left(), 0)
})

test('random packets, pieces, tags, batches and pauses: each one delivered as it came or dropped by the kernel, every chunk back once', (t) => {
  const random = seededRandom(t)
  let packets = 0
  for (let run = 0; run < 60; run++) {
    const chunkBytes = random.pick([2048, 4096])
    const multiBuffer = random.oneIn(2)
    const lengthsOnly = random.oneIn(4)
    const geometry = { chunkBytes, chunkCount: random.pick([4, 32, 256, 4096]), multiBuffer }
    const firstIndex = (random.pick([0, 2 ** 31, 2 ** 32]) - random.between(0, 2000) + 2 ** 32) % 2 ** 32
    const snapLengthBytes = random.pick([262_144, random.between(60, 2000)])
    const options = { lengthsOnly, snapLengthBytes }
    let reader = Reader.open(geometry, options, firstIndex)
    const { kernel } = reader
    const expected: Uint8Array[] = []
    const seen: Seen[] = []
    const seenLengths: number[] = []
    const drain = (blocks: number) => {
      if (!lengthsOnly) {
        for (const block of reader.drain(blocks)) for (const packet of block) seen.push(packet)
        return
      }
      for (let i = 0; i < blocks; i++) {
        const block = reader.receiver.peek()
        if (block === undefined) return
        for (const [, wire] of lengthsOf(block)) seenLengths.push(wire)
        reader.receiver.release()
        kernel.sync()
      }
    }
    const randomFrame = () => {
      const room = chunkRoom(chunkBytes)
      const length = random.pick([60, random.between(14, 200), random.between(14, room), multiBuffer ? random.between(room, 4 * room) : room])
      const tags = random.pick([[], [], [{ tpid: random.pick([0x8100, 0x88a8, 0x9100]), tci: random.word() & 0xffff }]])
      if (random.oneIn(3)) tags.push({ tpid: 0x8100, tci: random.word() & 0xffff })
      const protocol = random.pick([0x0800, 0x86dd, random.word() & 0xffff])
      return ethernet(random.word(), Math.max(length, 14 + 4 * tags.length), {
        tags,
        protocol,
        to: random.pick([MAC, OTHER_MAC, random.bytes(6), new Uint8Array(6).fill(0xff)]),
      })
    }
    const randomPieces = (length: number) => {
      const pieces: number[] = []
      for (let left = length; left > 0; left -= pieces[pieces.length - 1]) pieces.push(Math.min(left, random.between(1, chunkRoom(chunkBytes))))
      return pieces
    }
    for (let step = 0; step < 150; step++) {
      switch (random.between(0, 9)) {
        case 0:
          drain(random.between(1, 4))
          break
        case 1:
          drain(Number.POSITIVE_INFINITY)
          break
        case 2:
          kernel.flush(random.between(0, 4))
          break
        case 3:
          kernel.show(random.between(0, 4))
          break
        case 4:
          if (random.oneIn(3)) kernel.park(random.between(1, 8))
          break
        case 5:
          if (random.oneIn(5)) reader = new Reader(kernel, options)
          break
        default: {
          const burst = random.between(1, random.pick([3, 30, geometry.chunkCount]))
          for (let i = 0; i < Math.min(burst, 200); i++) {
            const frame = randomFrame()
            const pieces = multiBuffer && random.oneIn(4) ? randomPieces(frame.length) : undefined
            if (kernel.receive(frame, pieces)) expected.push(frame)
          }
          if (random.oneIn(2)) kernel.flush()
        }
      }
    }
    kernel.flush()
    drain(Number.POSITIVE_INFINITY)
    packets += expected.length
    if (lengthsOnly) {
      assert.deepEqual(
        seenLengths,
        expected.map((frame) => frame.length),
        `run ${run}`,
      )
    } else {
      assert.equal(seen.length, expected.length, `run ${run}`)
      expected.map(asPacketSocketSees).forEach((whole, i) => {
        const capturedLength = Math.min(whole.wireLength, snapLengthBytes)
        const frame = whole.frame.subarray(0, capturedLength + (whole.hasVlan && capturedLength >= 12 ? 4 : 0))
        assert.deepEqual(seen[i], { ...whole, capturedLength, frame }, `run ${run}, packet ${i}`)
      })
    }
    assert.equal(kernel.rx.used, 0)
    assert.equal(kernel.chunks, geometry.chunkCount, `run ${run}`)
  }
  assert.ok(packets > 20_000, `only ${packets} packets`)
  t.diagnostic(`${packets} packets`)
})
