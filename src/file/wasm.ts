/**
 * Assembles a WebAssembly module of one function over a memory that is given to it: as much of the binary format as a loop that
 * copies needs (WebAssembly Core Specification 2.0, section 5). Code is written as a tree of calls, which is the order of a stack
 * machine read from within. Pure: bytes in, bytes out.
 */

/** Instructions, encoded. */
export type Code = readonly number[]

/** Value types. */
export const I32 = 0x7f
export const I64 = 0x7e

const EMPTY_BLOCK = 0x40
const END = 0x0b
const PAGE_LIMIT = 65_536

export const i32 = (value: number): Code => [0x41, ...signed(BigInt(value | 0))]
export const i64 = (value: bigint): Code => [0x42, ...signed(value)]
export const get = (local: number): Code => [0x20, ...unsigned(local)]
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)]

export const add = (a: Code, b: Code): Code => [...a, ...b, 0x6a]
export const sub = (a: Code, b: Code): Code => [...a, ...b, 0x6b]
export const and = (a: Code, b: Code): Code => [...a, ...b, 0x71]
export const or = (a: Code, b: Code): Code => [...a, ...b, 0x72]
export const shl = (a: Code, b: Code): Code => [...a, ...b, 0x74]
export const shrU = (a: Code, b: Code): Code => [...a, ...b, 0x76]
export const divU = (a: Code, b: Code): Code => [...a, ...b, 0x6e]
export const isZero = (a: Code): Code => [...a, 0x45]
export const equal = (a: Code, b: Code): Code => [...a, ...b, 0x46]
export const lessU = (a: Code, b: Code): Code => [...a, ...b, 0x49]
export const moreU = (a: Code, b: Code): Code => [...a, ...b, 0x4b]
export const notLessU = (a: Code, b: Code): Code => [...a, ...b, 0x4f]
/** `a` where the condition holds, else `b`. */
export const select = (a: Code, b: Code, condition: Code): Code => [...a, ...b, ...condition, 0x1b]

export const add64 = (a: Code, b: Code): Code => [...a, ...b, 0x7c]
export const mul64 = (a: Code, b: Code): Code => [...a, ...b, 0x7e]
export const shrU64 = (a: Code, b: Code): Code => [...a, ...b, 0x88]
/** The lower word of 64 bits, and 64 bits of a word. */
export const wrap = (a: Code): Code => [...a, 0xa7]
export const extendU = (a: Code): Code => [...a, 0xad]

/** Loads and stores at `address + offset`, little-endian, aligned or not. */
export const load = (address: Code, offset: number): Code => [...address, 0x28, 0, ...unsigned(offset)]
export const load8 = (address: Code, offset: number): Code => [...address, 0x2d, 0, ...unsigned(offset)]
export const load16 = (address: Code, offset: number): Code => [...address, 0x2f, 0, ...unsigned(offset)]
export const load64 = (address: Code, offset: number): Code => [...address, 0x29, 0, ...unsigned(offset)]
export const load128 = (address: Code, offset: number): Code => [...address, 0xfd, 0x00, 0, ...unsigned(offset)]
export const store = (address: Code, offset: number, value: Code): Code => [...address, ...value, 0x36, 0, ...unsigned(offset)]
export const store64 = (address: Code, offset: number, value: Code): Code => [...address, ...value, 0x37, 0, ...unsigned(offset)]
export const store128 = (address: Code, offset: number, value: Code): Code => [...address, ...value, 0xfd, 0x0b, 0, ...unsigned(offset)]

/** A block that `leave(0)` within it ends. */
export const block = (...body: Code[]): Code => [0x02, EMPTY_BLOCK, ...body.flat(), END]
/** A block that `leave(0)` within it begins anew. */
export const loop = (...body: Code[]): Code => [0x03, EMPTY_BLOCK, ...body.flat(), END]
export const when = (condition: Code, ...body: Code[]): Code => [...condition, 0x04, EMPTY_BLOCK, ...body.flat(), END]
/** Branches to the block `depth` levels out if the condition holds. */
export const leave = (depth: number, condition: Code): Code => [...condition, 0x0d, depth]
/** The same without a condition. */
export const again = (depth: number): Code => [0x0c, depth]

export interface WasmFunction {
  /** How many `i32` it takes; they are its first locals. */
  parameters: number
  /** Types of the locals after them. */
  locals: readonly number[]
  /** Leaves one `i32`. */
  body: Code
}

/** A module that imports the memory `env.memory` and exports the function as `run`. */
export function assembleModule({ parameters, locals, body }: WasmFunction): Uint8Array<ArrayBuffer> {
  const type = [0x60, ...vector(Array.from({ length: parameters }, () => [I32])), ...vector([[I32]])]
  const memory = [...text('env'), ...text('memory'), 0x02, 0x01, ...unsigned(1), ...unsigned(PAGE_LIMIT)]
  const code = [...vector(locals.map((local) => [1, local])), ...body, END]
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [type]),
    ...section(2, [memory]),
    ...section(3, [[0]]),
    ...section(7, [[...text('run'), 0x00, 0]]),
    ...section(10, [[...unsigned(code.length), ...code]]),
  ])
}

function section(id: number, entries: readonly Code[]): Code {
  const content = vector(entries)
  return [id, ...unsigned(content.length), ...content]
}

function vector(entries: readonly Code[]): Code {
  return [...unsigned(entries.length), ...entries.flat()]
}

function text(ascii: string): Code {
  return vector([...ascii].map((character) => [character.charCodeAt(0)]))
}

/** LEB128. */
function unsigned(value: number): Code {
  const bytes: number[] = []
  for (let rest = value >>> 0; ; ) {
    const low = rest & 0x7f
    rest >>>= 7
    bytes.push(rest === 0 ? low : low | 0x80)
    if (rest === 0) return bytes
  }
}

function signed(value: bigint): Code {
  const bytes: number[] = []
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    const isLast = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}
