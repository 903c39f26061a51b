/**
 * A reader of capture files that forgives nothing: each byte of the file must belong to a record or block that is as the format says,
 * or it throws. Of our own, so that what tshark passes over is seen, and apart from the library's readers.
 */
import { strict as assert } from 'node:assert'

export interface StrictPacket {
  /** The whole file's clock, in nanoseconds. */
  time: bigint
  capturedLength: number
  wireLength: number
  bytes: Uint8Array
  interfaceId: number
  /** Option code and value, in their order. */
  options: [code: number, value: Uint8Array][]
}

export interface StrictBlock {
  type: number
  fixed: Uint8Array
  options: [code: number, value: Uint8Array][]
}

export interface StrictCapture {
  format: 'pcap' | 'pcapng'
  linkType: number
  snapLength: number
  packets: StrictPacket[]
  /** pcapng: every block that is no packet. */
  blocks: StrictBlock[]
}

export function readStrictly(given: Uint8Array): StrictCapture {
  // Of a Buffer slice() would make no copy.
  const file = new Uint8Array(given)
  const view = new DataView(file.buffer)
  return view.getUint32(0, true) === 0x0a0d0d0a ? readPcapng(file, view) : readPcap(file, view)
}

function readPcap(file: Uint8Array, view: DataView): StrictCapture {
  const magic = view.getUint32(0, true)
  const unit = magic === 0xa1b23c4d ? 1n : magic === 0xa1b2c3d4 ? 1000n : undefined
  assert.ok(unit !== undefined, 'magic')
  assert.deepEqual([view.getUint16(4, true), view.getUint16(6, true), view.getUint32(8, true), view.getUint32(12, true)], [2, 4, 0, 0])
  const snapLength = view.getUint32(16, true)
  const packets: StrictPacket[] = []
  let at = 24
  while (at < file.byteLength) {
    assert.ok(at + 16 <= file.byteLength, `record header at ${at}`)
    const [seconds, fraction, capturedLength, wireLength] = [0, 4, 8, 12].map((offset) => view.getUint32(at + offset, true)) as [number, number, number, number]
    assert.ok(BigInt(fraction) * unit < 1_000_000_000n, `fraction at ${at}`)
    assert.ok(capturedLength <= snapLength, `length at ${at}`)
    assert.ok(at + 16 + capturedLength <= file.byteLength, `record at ${at}`)
    const time = BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * unit
    packets.push({ time, capturedLength, wireLength, bytes: file.slice(at + 16, at + 16 + capturedLength), interfaceId: 0, options: [] })
    at += 16 + capturedLength
  }
  return { format: 'pcap', linkType: view.getUint32(20, true), snapLength, packets, blocks: [] }
}

/** Length of what stands before the options. */
const FIXED: Readonly<Record<number, number>> = { 168627466: 16, 1: 8, 5: 12 }

function readPcapng(file: Uint8Array, view: DataView): StrictCapture {
  const result: StrictCapture = { format: 'pcapng', linkType: -1, snapLength: 0, packets: [], blocks: [] }
  const units: bigint[] = []
  let at = 0
  while (at < file.byteLength) {
    assert.ok(at + 12 <= file.byteLength, `block at ${at}`)
    const type = view.getUint32(at, true)
    const total = view.getUint32(at + 4, true)
    assert.ok(total >= 12 && total % 4 === 0 && at + total <= file.byteLength, `length ${total} of the block at ${at}`)
    assert.equal(view.getUint32(at + total - 4, true), total, `second length of the block at ${at}`)
    const body = file.slice(at + 8, at + total - 4)
    if (type === 6) result.packets.push(packetOf(body, units))
    else {
      const fixed = FIXED[type] ?? body.byteLength
      const options = type in FIXED ? optionsOf(body.subarray(fixed)) : []
      if (type === 1) {
        const resolution = options.find(([code]) => code === 9)?.[1][0]
        assert.ok(resolution === 9 || resolution === 6)
        units.push(resolution === 9 ? 1n : 1000n)
        if (result.linkType < 0) result.linkType = view.getUint16(at + 8, true)
      }
      result.blocks.push({ type, fixed: body.slice(0, fixed), options })
    }
    at += total
  }
  assert.equal(result.blocks[0]?.type, 0x0a0d0d0a)
  return result
}

function packetOf(body: Uint8Array, units: readonly bigint[]): StrictPacket {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const interfaceId = view.getUint32(0, true)
  const unit = units[interfaceId]
  assert.ok(unit !== undefined, `interface ${interfaceId} is not described`)
  const capturedLength = view.getUint32(12, true)
  const padded = Math.ceil(capturedLength / 4) * 4
  assert.ok(20 + padded <= body.byteLength)
  assert.ok(
    body.subarray(20 + capturedLength, 20 + padded).every((byte) => byte === 0),
    'padding',
  )
  const time = ((BigInt(view.getUint32(4, true)) << 32n) | BigInt(view.getUint32(8, true))) * unit
  return {
    time,
    capturedLength,
    wireLength: view.getUint32(16, true),
    bytes: body.slice(20, 20 + capturedLength),
    interfaceId,
    options: optionsOf(body.subarray(20 + padded)),
  }
}

function optionsOf(bytes: Uint8Array): [number, Uint8Array][] {
  const options: [number, Uint8Array][] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  while (at < bytes.byteLength) {
    const code = view.getUint16(at, true)
    const length = view.getUint16(at + 2, true)
    if (code === 0) {
      assert.deepEqual([length, at + 4], [0, bytes.byteLength], 'end of options')
      return options
    }
    options.push([code, bytes.slice(at + 4, at + 4 + length)])
    at += 4 + Math.ceil(length / 4) * 4
    assert.ok(at <= bytes.byteLength, 'option')
  }
  assert.equal(options.length, 0, 'options without an end')
  return options
}

/** Options of this code as text. */
export function textOf(options: readonly [number, Uint8Array][], code: number): string[] {
  return options.filter(([own]) => own === code).map(([, value]) => new TextDecoder().decode(value))
}
