import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { fanoutProgram } from '#src/bpf/fanout-program.js'
import { assertGolden } from '../../support/golden.js'
import { type Random, randomOf, seededRandom } from '../../support/random.js'
import { runOnFrame, taggedFrame } from '../../support/skb.js'

const WORKERS = 5
const CODE = assemble(fanoutProgram(WORKERS))
const MANY = assemble(fanoutProgram(65536))

interface Endpoint {
  mac: Uint8Array
  /** 4 or 16 bytes. */
  address: Uint8Array
  port: number
}

interface FrameOptions {
  protocol?: number
  /** Words of IPv4 options, or IPv6 extension headers by number. */
  options?: number
  extensions?: readonly number[]
  fragment?: number
  /** Bytes that are left of the frame. */
  cut?: number
}

function frameOf(from: Endpoint, to: Endpoint, { protocol = 6, options = 0, extensions = [], fragment = 0, cut }: FrameOptions = {}): Uint8Array<ArrayBuffer> {
  const v4 = from.address.length === 4
  const ports = [from.port >> 8, from.port & 0xff, to.port >> 8, to.port & 0xff]
  const transport = [...ports, ...new Array(16).fill(0x5a)]
  const next = [...extensions, protocol]
  const extended = extensions.flatMap((_, i) => [next[i + 1], i, ...new Array(6 + 8 * i).fill(0xee)])
  const ip = v4
    ? [0x45 + options, 0, 0, 0, 0, 0, fragment >> 8, fragment & 0xff, 64, protocol, 0, 0, ...from.address, ...to.address, ...new Array(4 * options).fill(1)]
    : [0x60, 0, 0, 0, 0, 0, next[0], 64, ...from.address, ...to.address, ...extended]
  const frame = Uint8Array.from([...to.mac, ...from.mac, ...(v4 ? [8, 0] : [0x86, 0xdd]), ...ip, ...transport])
  return cut === undefined ? frame : frame.slice(0, cut)
}

function anyEndpoint(random: Random, addressBytes: number): Endpoint {
  return { mac: random.bytes(6), address: random.bytes(addressBytes), port: random.between(1, 65535) }
}

const worker = (frame: Uint8Array, direction: 'in' | 'out' = 'in', code: Uint8Array = MANY) => runOnFrame(code, frame, direction)

/** That both directions of a flow go to one worker, whether they come in or go out. */
function assertSymmetric(from: Endpoint, to: Endpoint, options: FrameOptions = {}): number {
  const there = frameOf(from, to, options)
  const back = frameOf(to, from, options)
  const answer = worker(there)
  const shown = `${Buffer.from(there).toString('hex')} ${JSON.stringify(options)}`
  assert.equal(worker(back), answer, shown)
  for (const tags of [
    [[0x8100, 5]],
    [
      [0x88a8, 6],
      [0x8100, 5],
    ],
  ] as const) {
    for (const direction of ['in', 'out'] as const) {
      assert.equal(worker(taggedFrame(there, tags), direction), answer, `${direction} ${JSON.stringify(tags)} ${shown}`)
      assert.equal(worker(taggedFrame(back, tags), direction), answer, `${direction} ${JSON.stringify(tags)} ${shown}`)
    }
  }
  assert.equal(worker(there, 'out'), answer, shown)
  return answer
}

test('the program, line by line', () => assertGolden('unit/bpf/golden/fanout.txt', disassemble(fanoutProgram(4))))

describe('a flow is one worker’s', () => {
  for (const addressBytes of [4, 16]) {
    for (const protocol of [6, 17, 132, 136, 1, 58, 47]) {
      test(`addresses of ${addressBytes} bytes, protocol ${protocol}: both directions, with and without tags, in and out`, (t) => {
        const random = seededRandom(t)
        for (let i = 0; i < 50; i++) {
          const options: FrameOptions = { protocol, ...(addressBytes === 4 ? { options: random.oneIn(3) ? random.between(1, 10) : 0 } : {}) }
          if (addressBytes === 16 && random.oneIn(2)) options.extensions = Array.from({ length: random.between(1, 4) }, () => random.pick([0, 43, 60]))
          assertSymmetric(anyEndpoint(random, addressBytes), anyEndpoint(random, addressBytes), options)
        }
      })
    }
  }

  test('what is neither IPv4 nor IPv6, by its MAC addresses', () => {
    const random = randomOf(1)
    for (const type of [0x0806, 0x88cc, 0x8847, 0x0000]) {
      const body = random.bytes(46)
      const a = random.bytes(6)
      const b = random.bytes(6)
      const frame = (to: Uint8Array, from: Uint8Array) => Uint8Array.from([...to, ...from, type >> 8, type & 0xff, ...body])
      const answer = worker(frame(a, b))
      assert.equal(worker(frame(b, a)), answer)
      assert.equal(worker(taggedFrame(frame(a, b), [[0x8100, 1]])), answer)
      assert.notEqual(worker(frame(random.bytes(6), b)), answer)
    }
  })

  test('three tags that go out: as what is no IP', () => {
    const random = randomOf(2)
    const [a, b] = [anyEndpoint(random, 4), anyEndpoint(random, 4)]
    const tags = [
      [0x88a8, 1],
      [0x8100, 2],
      [0x8100, 3],
    ] as const
    assert.equal(worker(taggedFrame(frameOf(a, b), tags), 'out'), worker(taggedFrame(frameOf(b, a), tags), 'out'))
  })
})

describe('what it goes by', () => {
  const random = randomOf(3)
  for (const addressBytes of [4, 16]) {
    const a = anyEndpoint(random, addressBytes)
    const b = anyEndpoint(random, addressBytes)
    const answer = worker(frameOf(a, b))
    const other = (change: Partial<Endpoint>) => worker(frameOf({ ...a, ...change }, b))

    test(`${addressBytes}: ports, and every byte of the addresses; not the MAC addresses, nor the protocol`, () => {
      assert.notEqual(other({ port: a.port ^ 1 }), answer)
      for (let i = 0; i < addressBytes; i++) assert.notEqual(other({ address: a.address.map((byte, at) => (at === i ? byte ^ 1 : byte)) }), answer, `byte ${i}`)
      assert.equal(other({ mac: b.mac }), answer)
      assert.equal(worker(frameOf(a, b, { protocol: 17 })), answer)
      assert.notEqual(worker(frameOf({ ...a, port: b.port }, { ...b, port: a.port })), answer)
    })

    test(`${addressBytes}: a protocol without ports, by its addresses`, () => {
      const icmp = worker(frameOf(a, b, { protocol: 1 }))
      assert.equal(worker(frameOf({ ...a, port: 1 }, b, { protocol: 1 })), icmp)
      assert.notEqual(icmp, answer)
    })

    test(`${addressBytes}: a packet that ends before its ports, before its addresses, before its EtherType`, () => {
      const headers = addressBytes === 4 ? 34 : 54
      const withoutPorts = worker(frameOf(a, b, { cut: headers }))
      assert.equal(worker(frameOf(a, b, { cut: headers + 3 })), withoutPorts)
      assert.equal(withoutPorts, worker(frameOf(a, b, { protocol: 1 })))
      // Then by the MAC addresses.
      for (const cut of [headers - 1, 15, 14]) assert.equal(worker(frameOf(a, b, { cut })), worker(frameOf(b, a, { cut })))
      const tagged = taggedFrame(frameOf(a, b), [
        [0x8100, 5],
        [0x8100, 6],
      ])
      for (let cut = 18; cut < tagged.length; cut++) worker(tagged.slice(0, cut), 'out')
    })
  }

  test('IPv4 fragments, the first one too, by their addresses', () => {
    const [a, b] = [anyEndpoint(random, 4), anyEndpoint(random, 4)]
    const expected = worker(frameOf(a, b, { protocol: 1 }))
    for (const fragment of [0x2000, 0x2001, 0x0001, 0x1fff, 0x3fff]) {
      assert.equal(worker(frameOf(a, b, { fragment })), expected, fragment.toString(16))
      assert.equal(worker(frameOf({ ...b, port: 9 }, a, { fragment })), expected)
    }
    // Don't fragment.
    assert.equal(worker(frameOf(a, b, { fragment: 0x4000 })), worker(frameOf(a, b)))
  })

  test('IPv6 fragments, the first one too, by their addresses; so are more extension headers than are looked behind', () => {
    const [a, b] = [anyEndpoint(random, 16), anyEndpoint(random, 16)]
    const expected = worker(frameOf(a, b, { protocol: 58 }))
    for (const extensions of [[44], [0, 44], [0, 43, 60, 44], [60, 60, 60, 60, 60]])
      assert.equal(worker(frameOf(a, b, { extensions })), expected, extensions.join())
    assert.equal(worker(frameOf(a, b, { extensions: [0, 43, 60, 0] })), worker(frameOf(a, b)))
  })
})

describe('the spread', () => {
  /** Chi-squared over workers must not be far above its mean, which is the degrees of freedom. */
  const assertEven = (answers: readonly number[], workers: number) => {
    const counts = new Array(workers).fill(0)
    for (const answer of answers) counts[answer]++
    const expected = answers.length / workers
    const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    assert.ok(chi < workers - 1 + 6 * Math.sqrt(2 * workers), `chi squared ${chi}, ${counts}`)
  }
  const macs = { mac: new Uint8Array(6) }
  const server: Endpoint = { ...macs, address: Uint8Array.of(198, 18, 0, 1), port: 443 }
  const cases: Readonly<Record<string, (i: number) => Uint8Array>> = {
    'clients of one server': (i) => frameOf({ ...macs, address: Uint8Array.of(10, 0, i >> 8, i & 0xff), port: 40000 }, server),
    'ports of one client': (i) => frameOf({ ...macs, address: Uint8Array.of(10, 0, 0, 1), port: 1024 + i }, server),
    'a scan of one network by another, address against address': (i) =>
      frameOf({ ...macs, address: Uint8Array.of(10, 0, 0, i & 0xff), port: 1 }, { ...macs, address: Uint8Array.of(10, 1, 0, 255 - (i & 0xff)), port: i >> 8 }),
    'addresses without ports': (i) => frameOf({ ...macs, address: Uint8Array.of(10, 0, i >> 8, i & 0xff), port: 0 }, server, { protocol: 1 }),
    'IPv6 hosts of one network': (i) =>
      frameOf(
        { ...macs, address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, i >> 8, i & 0xff), port: 40000 },
        { ...macs, address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), port: 443 },
      ),
    'IPv6 networks': (i) =>
      frameOf(
        { ...macs, address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, i >> 8, i & 0xff, 0, 0, 0, 0, 0, 0, 0, 1), port: 40000 },
        { ...macs, address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1), port: 443 },
      ),
    'MAC addresses': (i) => Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, i >> 8, i & 0xff, 0x08, 0x06, ...new Array(28).fill(0)]),
  }
  for (const [name, frame] of Object.entries(cases)) {
    test(name, () => {
      const frames = Array.from({ length: 2000 }, (_, i) => frame(i))
      assertEven(
        frames.map((it) => worker(it, 'in', CODE)),
        WORKERS,
      )
    })
  }

  test('another seed, another spread; the seed’s last bit does not matter', () => {
    const frames = Array.from({ length: 200 }, (_, i) => cases['clients of one server'](i))
    const answers = (seed?: bigint) => frames.map((frame) => worker(frame, 'in', assemble(fanoutProgram(WORKERS, seed))))
    assert.notDeepEqual(answers(0x1234_5678_9abc_def1n), answers())
    assert.deepEqual(answers(0x1234_5678_9abc_def0n), answers(0x1234_5678_9abc_def1n))
    assertEven(answers(0x1234_5678_9abc_def1n), WORKERS)
  })
})

test('workers', () => {
  const random = randomOf(4)
  const one = assemble(fanoutProgram(1))
  for (let i = 0; i < 20; i++) assert.equal(worker(frameOf(anyEndpoint(random, 4), anyEndpoint(random, 4)), 'in', one), 0)
  for (const workers of [0, -1, 65537, 1.5, Number.NaN])
    assert.throws(() => fanoutProgram(workers), { name: 'RangeError', message: `workers ${workers} is no whole number from 1 to 65536` })
})
