/** Tags that the kernel takes out of frames: told, and put back where the wire had them, as tcpdump beside us writes them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packets } from '#src/capture/packets.js'
import { createTestbed } from '#src/testbed/index.js'
import { assertAccount, caughtUp, handlerUrl, live, numberedFrame, openOn, RawSender } from '../support/live.js'
import type { Collected } from './handlers/collect.js'

interface Tag {
  tpid: number
  tci: number
}

function tagged(number: number, length: number, ...tags: Tag[]): Uint8Array {
  const plain = numberedFrame(number, length)
  const bytes = new Uint8Array(length + 4 * tags.length)
  bytes.set(plain.subarray(0, 12))
  const view = new DataView(bytes.buffer)
  tags.forEach(({ tpid, tci }, index) => {
    view.setUint16(12 + 4 * index, tpid)
    view.setUint16(14 + 4 * index, tci)
  })
  bytes.set(plain.subarray(12), 12 + 4 * tags.length)
  return bytes
}

const Q = 0x8100
const AD = 0x88a8
const TAGS: Tag[][] = [
  [],
  [{ tpid: Q, tci: 100 }],
  [{ tpid: AD, tci: 4094 }],
  // Priority 7, drop eligible.
  [{ tpid: Q, tci: 0xf064 }],
  // A priority tag: identifier 0; and one of zeros alone.
  [{ tpid: Q, tci: 0xa000 }],
  [{ tpid: Q, tci: 0 }],
  [{ tpid: AD, tci: 0 }],
  // QinQ: the kernel takes out the outer one only.
  [
    { tpid: AD, tci: 7 },
    { tpid: Q, tci: 0x2009 },
  ],
  [
    { tpid: Q, tci: 7 },
    { tpid: Q, tci: 8 },
  ],
]
const LENGTHS = [60, 61, 300, 1496]

const FRAMES = LENGTHS.flatMap((length, l) => TAGS.map((tags, t) => ({ tags, bytes: tagged(1000 * l + t, length, ...tags) })))

/** Frames of a pcap file. */
function framesOf(file: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 24; at < file.length; ) {
    const length = file.readUInt32LE(at + 8)
    frames.push(file.subarray(at + 16, at + 16 + length))
    at += 16 + length
  }
  return frames
}

/** Each of FRAMES once, its outer tag told by the view and put back by `copy`. */
function assertCollected(collected: readonly Collected[]): void {
  assert.equal(collected.length, FRAMES.length)
  for (const [index, { tags, bytes }] of FRAMES.entries()) {
    const found = collected.filter((it) => Buffer.from(it.frame).equals(bytes))
    assert.equal(found.length, 1, `frame ${index}, ${JSON.stringify(tags)}`)
    const [{ hasVlan, vlanId, vlanTci, vlanTpid, capturedLength, wireLength, protocol }] = found
    const [outer, inner] = tags
    const expected = outer === undefined ? [false, -1, 0, 0] : [true, outer.tci & 0xfff, outer.tci, outer.tpid]
    assert.deepEqual([hasVlan, vlanId, vlanTci, vlanTpid], expected)
    const without = bytes.length - (outer === undefined ? 0 : 4)
    assert.deepEqual([capturedLength, wireLength, protocol], [without, without, inner?.tpid ?? 0x88b5])
  }
}

for (const xdpMode of ['native', 'generic'] as const) {
  for (const chunkBytes of [2048, 4096]) {
    live(`xdp, ${xdpMode}, chunks of ${chunkBytes}: with and without a handler`, async () => {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const options = { backend: 'xdp', xdpMode, chunkBytes } as const
      const total = FRAMES.reduce((sum, { bytes }) => sum + bytes.length, 0)
      const inTags = FRAMES.reduce((sum, { tags }) => sum + (tags.length === 0 ? 0 : 4), 0)
      for (const handler of [handlerUrl('collect'), undefined]) {
        await using capture = await openOn(testbed, { ...options, handler })
        for (const { bytes } of FRAMES) sender.send(bytes)
        await caughtUp(capture, FRAMES.length)
        if (handler !== undefined) assertCollected((await capture.snapshot<Collected[]>()) as Collected[])
        const summary = await capture.stop()
        assertAccount(summary, FRAMES.length)
        // Nobody looks at packets that are only counted: their tags are bytes as any.
        assert.equal(summary.bytes, handler === undefined ? total : total - inTags)
      }
    })
  }
}

for (const backend of ['ring', 'recv'] as const) {
  for (const workers of [1, 2]) {
    live(`${backend}, ${workers} workers: as tcpdump writes them`, async () => {
      using testbed = createTestbed()
      using sender = new RawSender(testbed.sender)
      const directory = mkdtempSync(join(tmpdir(), 'ringtap-vlan-'))
      try {
        const path = join(directory, 'frames.pcap')
        const { interface: name, netns } = testbed.receiver
        const tcpdump = spawn('nsenter', [`--net=${netns}`, 'tcpdump', '-i', name, '-Z', 'root', '-c', `${FRAMES.length}`, '-w', path])
        // From the start: on a busy machine it has ended before we have caught up.
        const closed = once(tcpdump, 'close')
        let said = ''
        tcpdump.stderr.on('data', (chunk) => {
          said += chunk
        })
        while (!said.includes('listening on')) await once(tcpdump.stderr, 'data')
        await using capture = await openOn(testbed, { backend, workers, fanout: 'lb', handler: handlerUrl('collect') })
        for (const { bytes } of FRAMES) sender.send(bytes)
        await caughtUp(capture, FRAMES.length)
        await closed
        const collected = (await capture.snapshot<Collected[]>()) as Collected[]
        const summary = await capture.stop()
        assertAccount(summary, FRAMES.length)
        const beside = framesOf(readFileSync(path))
        assert.deepEqual(
          beside.map((bytes) => bytes.toString('hex')),
          FRAMES.map(({ bytes }) => Buffer.from(bytes).toString('hex')),
        )
        assertCollected(collected)
      } finally {
        rmSync(directory, { recursive: true })
      }
    })
  }
}

for (const backend of ['ring', 'recv', 'xdp'] as const) {
  live(`${backend}, packets(): the frame as it was on the wire`, async () => {
    // One worker, so that order holds.
    using testbed = createTestbed({ queues: 1 })
    using sender = new RawSender(testbed.sender)
    const iterator = packets({ ...testbed.receiver, backend, count: FRAMES.length })
    const first = iterator.next()
    // The capture opens with the first next().
    const timer = setInterval(() => sender.send(FRAMES[0].bytes), 20)
    assert.deepEqual(Buffer.from((await first).value?.bytes ?? []), Buffer.from(FRAMES[0].bytes))
    clearInterval(timer)
    for (const { bytes } of FRAMES.slice(1)) sender.send(bytes)
    const seen: { hex: string; vlanId: number; wireLength: number }[] = []
    for await (const packet of iterator) seen.push({ hex: Buffer.from(packet.bytes).toString('hex'), vlanId: packet.vlanId, wireLength: packet.wireLength })
    const hexOfFirst = Buffer.from(FRAMES[0].bytes).toString('hex')
    // The timer may have sent the first one again.
    const rest = seen.filter(({ hex }) => hex !== hexOfFirst)
    const expected = FRAMES.slice(1).map(({ bytes, tags }) => ({
      hex: Buffer.from(bytes).toString('hex'),
      vlanId: tags.length === 0 ? -1 : tags[0].tci & 0xfff,
      wireLength: bytes.length,
    }))
    assert.deepEqual(rest, expected.slice(0, rest.length))
    assert.ok(rest.length >= FRAMES.length - 4)
  })
}
