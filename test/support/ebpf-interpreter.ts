/**
 * Runs eBPF as far as our programs use it, so that they can be tested without a kernel. Written from the instruction set's
 * standard, not from the assembler: it reads encoded bytes. Memory is a list of regions at made-up addresses.
 */

export interface Region {
  address: bigint
  bytes: Uint8Array
}

export interface EbpfRun {
  code: Uint8Array
  /** r1 at the start. */
  context: bigint
  memory: readonly Region[]
  /** Address of the value of an array map, by descriptor. A map itself is its descriptor as a number. */
  mapValue?: (fd: number) => bigint
  /** What BPF_ABS and BPF_IND read. */
  packet?: Uint8Array
  /** Helper functions by number; r0 is the answer. */
  helpers?: Readonly<Record<number, Helper>>
  /** Functions of the kernel itself, by their BTF ids. */
  kernelFunctions?: Readonly<Record<number, Helper>>
}

/** `at` is so many bytes of memory, of the stack as well. */
export type Helper = (r1: bigint, r2: bigint, r3: bigint, r4: bigint, r5: bigint, at: (address: bigint, size: number) => DataView) => bigint

const SIZES: Readonly<Record<number, number>> = { 0: 4, 8: 2, 16: 1, 24: 8 }
const MAX_STEPS = 100_000
/** Where r10 points to the end of. */
const STACK = 0x7000_0000n
const STACK_BYTES = 512
const LOST = 0xdead_beef_dead_beefn

/** Answers r0. @throws Error for an access outside of `memory` or an instruction that it does not know */
export function interpret(run: EbpfRun): bigint {
  const program = new DataView(run.code.buffer, run.code.byteOffset, run.code.byteLength)
  const regions = [{ address: STACK, bytes: new Uint8Array(STACK_BYTES) }, ...run.memory]
  const r = new BigUint64Array(11)
  r[1] = run.context
  r[10] = STACK + BigInt(STACK_BYTES)

  const at = (address: bigint, size: number): DataView => {
    for (const { address: base, bytes } of regions) {
      if (address < base || address + BigInt(size) > base + BigInt(bytes.length)) continue
      return new DataView(bytes.buffer, bytes.byteOffset + Number(address - base), size)
    }
    throw new Error(`access of ${size} bytes at 0x${address.toString(16)}`)
  }
  const read = (address: bigint, size: number): bigint => {
    const view = at(address, size)
    if (size === 8) return view.getBigUint64(0, true)
    return BigInt(size === 4 ? view.getUint32(0, true) : size === 2 ? view.getUint16(0, true) : view.getUint8(0))
  }
  const write = (address: bigint, size: number, value: bigint): void => {
    const view = at(address, size)
    if (size === 8) view.setBigUint64(0, BigInt.asUintN(64, value), true)
    else if (size === 4) view.setUint32(0, Number(BigInt.asUintN(32, value)), true)
    else if (size === 2) view.setUint16(0, Number(BigInt.asUintN(16, value)), true)
    else view.setUint8(0, Number(BigInt.asUintN(8, value)))
  }

  let pc = 0
  for (let step = 0; step < MAX_STEPS; step++) {
    const code = program.getUint8(pc * 8)
    const registers = program.getUint8(pc * 8 + 1)
    const offset = program.getInt16(pc * 8 + 2, true)
    const immediate = program.getInt32(pc * 8 + 4, true)
    const d = registers & 15
    const source = registers >> 4
    const group = code & 7
    const operation = code & 0xf0
    const size = SIZES[code & 0x18] as number
    pc++
    if (group === 0) {
      if (size !== 8) {
        const from = (immediate + ((code & 0xe0) === 0x40 ? Number(BigInt.asIntN(32, r[source] as bigint)) : 0)) | 0
        if (run.packet === undefined || from < 0 || from + size > run.packet.length) return 0n
        r[0] = run.packet.subarray(from, from + size).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
        for (let register = 1; register <= 5; register++) r[register] = LOST
        continue
      }
      const high = program.getInt32(pc * 8 + 4, true)
      pc++
      if (source === 1) r[d] = BigInt(immediate)
      else if (source === 2) r[d] = (run.mapValue?.(immediate) ?? 0n) + BigInt(high >>> 0)
      else r[d] = (BigInt(high >>> 0) << 32n) | BigInt(immediate >>> 0)
    } else if (group === 1) r[d] = read((r[source] as bigint) + BigInt(offset), size)
    else if (group === 2) write((r[d] as bigint) + BigInt(offset), size, BigInt(immediate))
    else if (group === 3) {
      const address = (r[d] as bigint) + BigInt(offset)
      if ((code & 0xe0) === 0xc0) {
        if (immediate !== 0) throw new Error(`atomic operation ${immediate}`)
        write(address, size, read(address, size) + (r[source] as bigint))
      } else write(address, size, r[source] as bigint)
    } else if (group === 5 || group === 6) {
      if (operation === 0x90) return r[0] as bigint
      if (operation === 0x80) {
        const helper = (source === 2 ? run.kernelFunctions : run.helpers)?.[immediate]
        if (helper === undefined) throw new Error(`no ${source === 2 ? 'kernel function' : 'helper'} ${immediate}`)
        r[0] = helper(r[1] as bigint, r[2] as bigint, r[3] as bigint, r[4] as bigint, r[5] as bigint, at)
        // What the kernel may do to them: a program that relies on them is wrong.
        for (let register = 1; register <= 5; register++) r[register] = LOST
      } else {
        const bits = group === 5 ? 64 : 32
        const right = (code & 8) !== 0 ? (r[source] as bigint) : BigInt(immediate)
        if (jumps(operation, BigInt.asUintN(bits, r[d] as bigint), BigInt.asUintN(bits, right), bits)) pc += offset
      }
    } else if (operation === 0xd0) {
      const value = BigInt.asUintN(immediate, r[d] as bigint)
      r[d] = (code & 8) !== 0 ? swap(value, immediate / 8) : value
    } else {
      const bits = group === 7 ? 64 : 32
      const operand = BigInt.asUintN(bits, (code & 8) !== 0 ? (r[source] as bigint) : BigInt(immediate))
      r[d] = BigInt.asUintN(bits, compute(operation, BigInt.asUintN(bits, r[d] as bigint), operand, bits))
    }
  }
  throw new Error(`no end after ${MAX_STEPS} steps`)
}

function swap(value: bigint, bytes: number): bigint {
  let left = value
  let swapped = 0n
  for (let byte = 0; byte < bytes; byte++) {
    swapped = (swapped << 8n) | (left & 0xffn)
    left >>= 8n
  }
  return swapped
}

function jumps(operation: number, left: bigint, right: bigint, bits: number): boolean {
  const signed = (value: bigint) => BigInt.asIntN(bits, value)
  switch (operation) {
    case 0x00:
      return true
    case 0x10:
      return left === right
    case 0x20:
      return left > right
    case 0x30:
      return left >= right
    case 0x40:
      return (left & right) !== 0n
    case 0x50:
      return left !== right
    case 0x60:
      return signed(left) > signed(right)
    case 0x70:
      return signed(left) >= signed(right)
    case 0xa0:
      return left < right
    case 0xb0:
      return left <= right
    case 0xc0:
      return signed(left) < signed(right)
    case 0xd0:
      return signed(left) <= signed(right)
    default:
      throw new Error(`jump 0x${operation.toString(16)}`)
  }
}

function compute(operation: number, left: bigint, right: bigint, bits: number): bigint {
  switch (operation) {
    case 0x00:
      return left + right
    case 0x10:
      return left - right
    case 0x20:
      return left * right
    case 0x30:
      return right === 0n ? 0n : left / right
    case 0x40:
      return left | right
    case 0x50:
      return left & right
    case 0x60:
      return left << (right & BigInt(bits - 1))
    case 0x70:
      return left >> (right & BigInt(bits - 1))
    case 0x80:
      return -left
    case 0x90:
      return right === 0n ? left : left % right
    case 0xa0:
      return left ^ right
    case 0xb0:
      return right
    case 0xc0:
      return BigInt.asIntN(bits, left) >> (right & BigInt(bits - 1))
    default:
      throw new Error(`operation 0x${operation.toString(16)}`)
  }
}
