/** The TX ring against a kernel that reads and writes its memory as tpacket_snd() does. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TransmitRing, type TransmitRingGeometry, transmitHeaderBytes } from '#src/ring/transmit-ring.js'
import { type Random, seededRandom } from '../../support/random.js'

const AVAILABLE = 0
const SEND_REQUEST = 1
const SENDING = 2
const WRONG_FORMAT = 4

/** Written from af_packet.c: takes frames in order, stops at one that is too long, and frees the others some time. */
class Kernel {
  readonly memory: ArrayBuffer
  readonly sent: number[][] = []
  sizeMax: number
  readonly #view: DataView
  readonly #geometry: TransmitRingGeometry
  #head = 0
  readonly #sending: number[] = []

  constructor(geometry: TransmitRingGeometry) {
    this.#geometry = geometry
    this.memory = new ArrayBuffer(geometry.frameBytes * geometry.frameCount)
    this.#view = new DataView(this.memory)
    this.sizeMax = geometry.frameBytes - transmitHeaderBytes(geometry.version)
  }

  #statusAt(slot: number): number {
    return slot * this.#geometry.frameBytes + (this.#geometry.version === 3 ? 20 : 0)
  }

  status(slot: number): number {
    return this.#view.getUint32(this.#statusAt(slot), true)
  }

  /** sendto(2) with room for so many frames; answers whether it stopped at a wrong one. */
  send(room: number): boolean {
    const { version, frameBytes, frameCount } = this.#geometry
    for (let count = 0; count < room; count++) {
      const slot = this.#head
      if (this.status(slot) !== SEND_REQUEST) return false
      const at = slot * frameBytes
      if (version === 3) assert.equal(this.#view.getUint32(at, true), 0, 'tp_next_offset')
      const length = this.#view.getUint32(at + (version === 3 ? 16 : 4), true)
      if (length > this.sizeMax) {
        this.#view.setUint32(this.#statusAt(slot), WRONG_FORMAT, true)
        return true
      }
      this.sent.push([...new Uint8Array(this.memory, at + transmitHeaderBytes(version), length)])
      this.#view.setUint32(this.#statusAt(slot), SENDING, true)
      this.#sending.push(slot)
      this.#head = (slot + 1) % frameCount
    }
    return false
  }

  free(count: number): void {
    for (const slot of this.#sending.splice(0, count)) this.#view.setUint32(this.#statusAt(slot), AVAILABLE, true)
  }

  get sending(): number {
    return this.#sending.length
  }
}

function frameOf(random: Random, longest: number): Uint8Array {
  return random.bytes(random.oneIn(3) ? random.between(0, longest) : 60)
}

describe('TX ring', () => {
  for (const version of [2, 3] as const) {
    test(`version ${version}: the kernel sends what was put, in order, and what it does not is told`, (t) => {
      const random = seededRandom(t)
      const geometry = { version, frameBytes: 2048, frameCount: 8 }
      const kernel = new Kernel(geometry)
      const ring = new TransmitRing(kernel.memory, geometry)
      assert.equal(ring.room, 2048 - (version === 3 ? 48 : 32))
      const expected: number[][] = []
      let waiting: number[][] = []
      let full = 0
      for (let step = 0; step < 5000; step++) {
        const what = random.between(0, 9)
        if (what < 5) {
          const frame = frameOf(random, ring.room)
          if (ring.put(frame, 0, frame.length)) waiting.push([...frame])
          else {
            full++
            assert.equal(waiting.length + kernel.sending, geometry.frameCount)
          }
        } else if (what < 8) {
          if (random.oneIn(20)) kernel.sizeMax = random.pick([500, 1000, 2000])
          const before = kernel.sent.length
          const stopped = kernel.send(random.between(0, 8))
          expected.push(...waiting.splice(0, kernel.sent.length - before))
          assert.equal(ring.collect(), stopped)
          if (stopped) {
            const kept = waiting.filter((frame, index) => index > 0 && frame.length <= kernel.sizeMax)
            assert.equal(ring.withdrawRefused(kernel.sizeMax), waiting.length - kept.length)
            waiting = kept
          }
        } else if (what === 8) {
          kernel.free(random.between(0, 8))
        } else if (random.oneIn(5)) {
          assert.equal(ring.withdraw(), waiting.length)
          waiting = []
        }
        assert.deepEqual([ring.pending, ring.packets, ring.inFlight()], [waiting.length, expected.length, kernel.sending])
      }
      assert.deepEqual(kernel.sent, expected)
      assert.equal(
        ring.bytes,
        expected.reduce((sum, frame) => sum + frame.length, 0),
      )
      assert.ok(full > 10 && expected.length > 500)
    })
  }

  test('the first frame goes out, whatever its length, when no room was found for it', () => {
    const geometry = { version: 3 as const, frameBytes: 2048, frameCount: 4 }
    const kernel = new Kernel(geometry)
    const ring = new TransmitRing(kernel.memory, geometry)
    for (const byte of [1, 2, 3]) ring.put(new Uint8Array(60).fill(byte), 0, 60)
    assert.equal(ring.withdrawRefused(Number.POSITIVE_INFINITY), 1)
    kernel.send(9)
    ring.collect()
    assert.deepEqual(
      kernel.sent.map(([byte]) => byte),
      [2, 3],
    )
  })
})
