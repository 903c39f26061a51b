/** What a kernel answers over rtnetlink, byte for byte. */
import { type Attribute, encodeAttributes, u32 } from '#src/kernel/netlink.js'
import { type FakeKernel, fakeKernel } from './fake-kernel.js'

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const RTM_NEWLINK = 16

export interface Answer {
  type: number
  flags?: number
  body: Uint8Array
  /** Distance from the request's sequence number. */
  sequence?: number
}

export const number32 = (value: number) => new Uint8Array(new Int32Array([value]).buffer)
export const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))

/** NLMSG_ERROR with this positive errno; 0 is an acknowledgement. */
export const refusal = (errno: number): Answer => ({ type: NLMSG_ERROR, body: join(number32(-errno), new Uint8Array(16)) })
export const ack = refusal(0)
export const done: Answer = { type: NLMSG_DONE, body: number32(0) }

function messages(answers: readonly Answer[], sequence: number): Uint8Array {
  const parts = answers.map((answer) => {
    const bytes = new Uint8Array(16 + Math.ceil(answer.body.length / 4) * 4)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, 16 + answer.body.length, true)
    view.setUint16(4, answer.type, true)
    view.setUint16(6, answer.flags ?? 0, true)
    view.setUint32(8, sequence + (answer.sequence ?? 0), true)
    bytes.set(answer.body, 16)
    return bytes
  })
  return join(...parts)
}

/** A kernel that answers each request with the next list of datagrams; a number is a failed recv. */
export function answering(...rounds: (readonly Answer[] | number)[][]): { kernel: FakeKernel; requests: Uint8Array[] } {
  const kernel = fakeKernel()
  const requests: Uint8Array[] = []
  let datagrams: (readonly Answer[] | number)[] = []
  kernel.answer('sendto', (_fd, bytes) => {
    requests.push(bytes.slice())
    datagrams = [...(rounds.shift() ?? [])]
    return bytes.length
  })
  kernel.answer('recv', (_fd, into) => {
    const next = datagrams.shift()
    if (next === undefined) throw new Error('recv would block')
    if (typeof next === 'number') return next
    const request = requests.at(-1) as Uint8Array
    const bytes = messages(next, new DataView(request.buffer, request.byteOffset).getUint32(8, true))
    into.set(bytes)
    return bytes.length
  })
  return { kernel, requests }
}

/** RTM_NEWLINK of an interface that is up; `data` is what stands in its IFLA_INFO_DATA, `xdp` in its IFLA_XDP. */
export function link(
  index: number,
  name: string,
  { kind, data, xdp }: { kind?: string; data?: readonly Attribute[]; xdp?: readonly Attribute[] } = {},
): Answer {
  const header = new Uint8Array(16)
  const view = new DataView(header.buffer)
  view.setUint16(2, 1, true)
  view.setInt32(4, index, true)
  view.setUint32(8, 0x41, true)
  const body = encodeAttributes(
    [
      [3, name],
      [4, u32(1500)],
      [1, Uint8Array.of(2, 0, 0, 0, 0, index)],
      [16, Uint8Array.of(6)],
      [31, u32(4)],
      [32, u32(2)],
      ...(kind === undefined ? [] : ([[18, [[1, kind], ...(data === undefined ? [] : ([[2, data]] as const))]]] as const)),
      ...(xdp === undefined ? [] : ([[43, xdp]] as const)),
    ],
    header,
  )
  return { type: RTM_NEWLINK, body }
}
