/** A decoder driven as openCaptureFile drives it, without a file: bytes in pieces, packets out. */
import assert from 'node:assert/strict'
import type { Decoder, DecoderOptions } from '#src/file/decode/cursor.js'
import { createDecoder } from '#src/file/decode/detect.js'
import { ByteWindow } from '#src/file/decode/window.js'
import type { WrittenPacket } from './capture-writer.js'

export interface Decoded {
  packets: WrittenPacket[]
  /** Of what is no capture file. */
  refused: string | undefined
  decoder: Decoder | undefined
  /** The largest buffer that was needed. */
  bufferBytes: number
}

const OPTIONS: DecoderOptions = { tolerant: false, matcherFor: undefined, onBlock: undefined }

/** `pieces` are pushed one after another; after each, every packet that is whole is taken. */
export function decodePieces(pieces: Iterable<Uint8Array>, options: Partial<DecoderOptions> = {}): Decoded {
  const window = new ByteWindow()
  const decoded: Decoded = { packets: [], refused: undefined, decoder: undefined, bufferBytes: 0 }
  const turn = () => {
    decoded.bufferBytes = Math.max(decoded.bufferBytes, window.bytes.length)
    if (decoded.refused !== undefined) return
    if (decoded.decoder === undefined) {
      const made = createDecoder(window, { ...OPTIONS, ...options })
      if (made === undefined) return
      if (typeof made === 'string') {
        decoded.refused = made
        return
      }
      decoded.decoder = made
      made.readAhead()
    }
    takeAll(decoded.decoder, decoded.packets)
  }
  for (const piece of pieces) {
    window.push(piece)
    turn()
  }
  window.ended = true
  turn()
  return decoded
}

export function decodeBytes(bytes: Uint8Array, options: Partial<DecoderOptions> = {}): Decoded {
  return decodePieces([bytes], options)
}

function takeAll(decoder: Decoder, packets: WrittenPacket[]): void {
  while (decoder.next()) {
    const { seconds, nanoseconds, wireLength, interfaceId } = decoder
    assert.ok(nanoseconds >= 0 && nanoseconds < 1e9 && Number.isInteger(nanoseconds), String(nanoseconds))
    packets.push({ bytes: decoder.copy(), wireLength, seconds, nanoseconds, interfaceId })
  }
}

/** The bytes in pieces of these lengths, over and over. */
export function* inPieces(bytes: Uint8Array, length: () => number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + length())
    yield bytes.subarray(at, end)
    at = end
  }
}
