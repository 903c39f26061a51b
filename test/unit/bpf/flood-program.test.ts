import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { assemble, disassemble } from '#src/bpf/ebpf.js'
import { FLOOD_KINDS, FLOOD_STATE, type FloodKind, type FloodProgramOptions, floodProgram, frameTemplate } from '#src/bpf/flood-program.js'
import { interpret } from '../../support/ebpf-interpreter.js'
import { assertGolden } from '../../support/golden.js'

const OPTIONS: FloodProgramOptions = {
  kind: 'syn',
  frameBytes: 60,
  sources: 2 ** 24,
  destinationMac: Uint8Array.of(2, 0, 0x5e, 0x10, 0, 1),
  sourceMac: Uint8Array.of(2, 0, 0, 0, 0, 9),
  interfaceIndex: 42,
  stateCpus: 2,
}
const STATE_FD = 7
const CONTEXT = 0x1000n
const FRAME = 0x20_0000n
const STATE = 0x30_0000n
const XDP_ABORTED = 0n
const XDP_REDIRECT = 4n

/** A CPU with a frame in it, which keeps what the last run left, as live frames do. */
function machine(options: FloodProgramOptions, cpu = 1) {
  const { statements, frame } = floodProgram(options)
  const code = assemble(statements, { state: STATE_FD })
  const state = new BigUint64Array(FLOOD_STATE.words * options.stateCpus)
  const context = new Uint8Array(24)
  const words = new DataView(context.buffer)
  words.setUint32(0, Number(FRAME), true)
  words.setUint32(4, Number(FRAME) + frame.length, true)
  const redirects: bigint[] = []
  const memory = [
    { address: CONTEXT, bytes: context },
    { address: FRAME, bytes: frame },
    { address: STATE, bytes: new Uint8Array(state.buffer) },
  ]
  const helpers = {
    8: () => BigInt(cpu),
    23: (index: bigint) => {
      redirects.push(index)
      return XDP_REDIRECT
    },
  }
  const run = () => interpret({ code, context: CONTEXT, memory, mapValue: (fd) => (fd === STATE_FD ? STATE : 0n), helpers })
  return { run, frame, state, redirects }
}

/** RFC 1071, written anew: a sum over all words, checksum included, must be 0xffff. */
function onesComplementSum(...parts: Uint8Array[]): number {
  let sum = 0
  for (const part of parts) {
    for (let at = 0; at < part.length; at++) sum += at % 2 === 0 ? part[at] * 256 : part[at]
  }
  return sum % 65535 === 0 ? 0xffff : sum % 65535
}

function checkPacket(frame: Uint8Array, ip: number): { protocol: number; source: number; varying: number } {
  const view = new DataView(frame.buffer, frame.byteOffset)
  const length = view.getUint16(ip + 2)
  assert.equal(length, frame.length - ip, 'IP length')
  assert.equal(onesComplementSum(frame.subarray(ip, ip + 20)), 0xffff, 'IP checksum')
  const protocol = frame[ip + 9]
  const segment = frame.subarray(ip + 20, ip + length)
  const pseudo = Uint8Array.of(...frame.subarray(ip + 12, ip + 20), 0, protocol, segment.length >> 8, segment.length & 0xff)
  assert.equal(onesComplementSum(...(protocol === 1 ? [segment] : [pseudo, segment])), 0xffff, `checksum of protocol ${protocol}`)
  const l4 = ip + 20
  if (protocol === 17) {
    assert.equal(view.getUint16(l4 + 4), segment.length, 'UDP length')
    assert.notEqual(view.getUint16(l4 + 6), 0, 'UDP checksum 0 would mean none')
  }
  if (protocol === 6) assert.equal(view.getUint16(l4 + 12), 0x5002, 'data offset and SYN')
  if (protocol === 1) assert.equal(view.getUint16(l4), 0x0800, 'echo request')
  else assert.equal(view.getUint16(l4 + 2), 80, 'destination port')
  const payload = l4 + (protocol === 6 ? 20 : 8)
  for (let at = payload; at < frame.length; at++) assert.equal(frame[at], at & 0xff, `payload byte ${at}`)
  return { protocol, source: view.getUint32(ip + 12), varying: view.getUint16(l4 + (protocol === 1 ? 4 : 0)) }
}

describe('packets', () => {
  for (const kind of FLOOD_KINDS) {
    for (const frameBytes of [60, 61, 62, 63, 128, 1513, 1514]) {
      for (const vlan of [undefined, 100]) {
        test(`${kind} of ${frameBytes} bytes${vlan === undefined ? '' : ' with a tag'}: lengths, checksums and contents`, () => {
          const { run, frame, state, redirects } = machine({ ...OPTIONS, kind, frameBytes, vlan })
          const ip = vlan === undefined ? 14 : 18
          for (let packet = 1; packet <= 200; packet++) {
            // As a receiver does that takes the tag out in place.
            if (vlan !== undefined) frame.copyWithin(4, 0, 12)
            assert.equal(run(), XDP_REDIRECT)
            assert.deepEqual(frame.subarray(0, 12), Uint8Array.of(...OPTIONS.destinationMac, ...OPTIONS.sourceMac))
            if (vlan !== undefined) assert.equal(new DataView(frame.buffer).getUint32(12), 0x8100_0064)
            checkPacket(frame, ip)
            assert.equal(state[FLOOD_STATE.words + FLOOD_STATE.made], BigInt(packet))
          }
          assert.deepEqual(new Set(redirects), new Set([42n]))
          assert.equal(state[FLOOD_STATE.made], 0n, 'the other CPU has made nothing')
        })
      }
    }
  }
})

describe('what varies', () => {
  const sample = (kind: FloodKind, sources: number, packets: number) => {
    const { run, frame } = machine({ ...OPTIONS, kind, sources })
    return Array.from({ length: packets }, () => {
      run()
      return checkPacket(frame, 14)
    })
  }

  test('sources stay in their range and use all of it', () => {
    for (const sources of [1, 2, 7, 256]) {
      const seen = new Set(sample('syn', sources, 4000).map((it) => it.source))
      assert.equal(seen.size, sources)
      for (const source of seen) assert.ok(source >= 0x0a000000 && source < 0x0a000000 + sources, source.toString(16))
    }
  })

  test('without a limit sources are spread over 10.0.0.0/8', () => {
    const seen = sample('udp', 2 ** 24, 4000).map((it) => it.source)
    assert.ok(new Set(seen).size > 3990)
    assert.ok(new Set(seen.map((it) => it >>> 16)).size > 240)
    for (const source of seen) assert.equal(source >>> 24, 10)
  })

  test('ports are 1024 to 65535 and spread', () => {
    const ports = sample('syn', 16, 4000).map((it) => it.varying)
    assert.ok(Math.min(...ports) >= 1024)
    assert.ok(new Set(ports).size > 3500)
  })

  test('mix is half SYN, a quarter UDP, a quarter ICMP', () => {
    const protocols = sample('mix', 100, 8000).map((it) => it.protocol)
    const share = (protocol: number) => protocols.filter((it) => it === protocol).length / protocols.length
    assert.ok(Math.abs(share(6) - 0.5) < 0.03, `SYN ${share(6)}`)
    assert.ok(Math.abs(share(17) - 0.25) < 0.03, `UDP ${share(17)}`)
    assert.ok(Math.abs(share(1) - 0.25) < 0.03, `ICMP ${share(1)}`)
  })
})

test('a UDP checksum that comes out as 0 is sent as 0xffff', () => {
  // One address: of 64512 ports one gives 0. The payload is searched for instead, so that a few thousand packets find it.
  let found = 0
  for (let frameBytes = 60; frameBytes < 1514 && found === 0; frameBytes += 101) {
    const { run, frame } = machine({ ...OPTIONS, kind: 'udp', sources: 2 ** 24, frameBytes })
    for (let packet = 0; packet < 8000 && found === 0; packet++) {
      run()
      if (new DataView(frame.buffer).getUint16(40) === 0xffff) found++
    }
  }
  assert.equal(found, 1)
})

test('on a CPU without state nothing is made', () => {
  const { run, redirects } = machine(OPTIONS, 2)
  assert.equal(run(), XDP_ABORTED)
  assert.deepEqual(redirects, [])
})

test('the smallest frame of each kind, as bytes', () => {
  const text = (kind: 'syn' | 'udp' | 'icmp') => Buffer.from(frameTemplate(kind, OPTIONS)).toString('hex')
  const ethernet = '02005e100001' + '020000000009' + '0800'
  const ip = (protocol: string) => `4500002e0000400040${protocol}000000000000c6120001`
  const pattern = '2a2b2c2d2e2f303132333435363738393a3b'
  assert.equal(text('syn'), `${ethernet}${ip('06')}00000050000000000000000050 02ffff00000000363738393a3b`.replace(' ', ''))
  assert.equal(text('udp'), `${ethernet}${ip('11')}00000050001a0000${pattern}`)
  assert.equal(text('icmp'), `${ethernet}${ip('01')}0800000000000000${pattern}`)
})

test('the programs, line by line', () => {
  for (const kind of FLOOD_KINDS) assertGolden(`unit/bpf/golden/flood-${kind}.txt`, disassemble(floodProgram({ ...OPTIONS, kind }).statements))
  assertGolden('unit/bpf/golden/flood-syn-vlan.txt', disassemble(floodProgram({ ...OPTIONS, vlan: 100 }).statements))
})
