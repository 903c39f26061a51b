/** Keeps a line about each packet, for tests that send few. */
import { defineHandler } from '#src/handler.js'

export interface Collected {
  worker: number
  interfaceName: string
  interfaceIndex: number
  /** Of numbered frames and of UDP flows; -1 in any other. */
  number: number
  sourcePort: number
  vlanId: number
  vlanTci: number
  vlanTpid: number
  hasVlan: boolean
  outgoing: boolean
  packetType: number
  protocol: number
  capturedLength: number
  wireLength: number
  rxhash: number
  seconds: number
  nanoseconds: number
  timestampSource: string
  frame: Uint8Array
}

/** `data.gate`, if given: open counts itself in the first word and waits until the second is not 0. */
async function pass(gate: SharedArrayBuffer | undefined): Promise<void> {
  if (gate === undefined) return
  const words = new Int32Array(gate)
  Atomics.add(words, 0, 1)
  while (Atomics.load(words, 1) === 0) await new Promise((resolve) => setTimeout(resolve, 2))
}

export default defineHandler({
  needs: { rxhash: true },
  async open({ workerIndex, interfaceName, data }) {
    await pass((data as { gate?: SharedArrayBuffer } | undefined)?.gate)
    return { worker: workerIndex, interfaceName, packets: [] as Collected[] }
  },
  packet(p, { worker, interfaceName, packets }) {
    const at = p.offset
    const { bytes } = p
    const word = (i: number) => ((bytes[at + i] << 24) | (bytes[at + i + 1] << 16) | (bytes[at + i + 2] << 8) | bytes[at + i + 3]) >>> 0
    const type = (bytes[at + 12] << 8) | bytes[at + 13]
    const number = type === 0x88b5 ? word(14) : type === 0x0800 ? word(42) : -1
    const { interfaceIndex, vlanId, vlanTci, vlanTpid, hasVlan, outgoing, packetType, protocol, capturedLength, wireLength, rxhash } = p
    const { seconds, nanoseconds, timestampSource } = p
    packets.push({
      worker,
      interfaceName,
      interfaceIndex,
      number,
      sourcePort: type === 0x0800 ? (bytes[at + 34] << 8) | bytes[at + 35] : -1,
      vlanId,
      vlanTci,
      vlanTpid,
      hasVlan,
      outgoing,
      packetType,
      protocol,
      capturedLength,
      wireLength,
      rxhash,
      seconds,
      nanoseconds,
      timestampSource,
      frame: p.copy(),
    })
  },
  snapshot: ({ packets }) => packets,
  merge: (a, b) => [...a, ...b],
})
